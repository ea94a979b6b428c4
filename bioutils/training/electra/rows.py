"""The rows of a step and their masks, from the step's number alone."""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from bioutils.training.electra.objective import Masked, mask_rows
from bioutils.training.electra.settings import ElectraSettings
from bioutils.training.electra.shards import Examples

if TYPE_CHECKING:
    import torch


def rows_of_step(step: int, *, n_rows: int, batch_size: int, seed: int) -> np.ndarray:
    """The row numbers of a step (from 0): epoch after epoch all rows in a new order, batches running on from one to the next."""
    places = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs = places // n_rows
    return np.array([_order(int(epoch), n_rows, seed)[p % n_rows] for epoch, p in zip(epochs, places, strict=True)])


@lru_cache(maxsize=2)  # a batch may run on into the next epoch
def _order(epoch: int, n_rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(n_rows)


class Masker:
    """Rows of a part, masked as a step asks for."""

    def __init__(self, examples: Examples, settings: ElectraSettings):
        tokenizer = examples.tokenizer()
        self.examples, self.settings, self.mask_id = examples, settings, tokenizer.mask_token_id
        ids = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id, tokenizer.mask_token_id)
        self.special = np.array(ids)

    def __call__(self, part: str, rows: np.ndarray, seed: tuple[int, ...], *, piece: int = 0) -> Masked:
        """The rows of these numbers, masked; with ``piece`` cut into so many rows of that many tokens, a rest left out."""
        s, ids = self.settings, self.examples.rows(part, rows)
        if 0 < piece < ids.shape[1]:
            ids = ids[:, : ids.shape[1] // piece * piece].reshape(-1, piece)
        return mask_rows(
            ids, self.special, mask_id=self.mask_id, mask_share=s.mask_share,
            mask_token=s.mask_token, seed=seed,
        )  # fmt: skip


def on_device(masked: Masked, rows: slice, device: "torch.device") -> "dict[str, torch.Tensor]":
    """Some of the rows as the model's inputs."""
    import torch

    return {name: torch.from_numpy(values[rows]).to(device) for name, values in masked._asdict().items()}
