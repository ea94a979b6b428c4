"""Texts to token ids, and token ids to batches that waste little."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bioutils.device import choose_device
from bioutils.errors import UsageError, expected

if TYPE_CHECKING:
    import torch
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

# Lengths are rounded up to multiples of this, so that few tensor shapes occur: on CPU oneDNN builds a kernel a shape.
LENGTH_MULTIPLE = 16
# Tokens a batch without gradients: past this a 2-core processor gains nothing more, and a batch still fits in its caches.
BATCH_TOKENS = 4096


def cut_ids(
    tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str], *, max_length: int
) -> tuple[list[list[int]], list[int]]:
    """The ids of each text, special tokens included, and how many tokens each lost to ``max_length``.

    A text that is cut keeps its last special token ([SEP]), as in training.
    """
    special = tokenizer.num_special_tokens_to_add()
    if max_length <= special:
        raise UsageError(expected("max_length", f"more than the {special} special tokens", max_length))
    texts = list(texts)
    ids = tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"] if texts else []
    n_cut = [max(0, len(tokens) - max_length) for tokens in ids]
    for i, lost in enumerate(n_cut):
        if lost:  # few are: encoding those again is cheaper than encoding all twice
            ids[i] = tokenizer(texts[i], truncation=True, max_length=max_length)["input_ids"]
    return ids, n_cut


def tokenise(
    dataset: "Dataset", tokenizer: "PreTrainedTokenizerBase", *, max_length: int, text_column: str = "text"
) -> "Dataset":
    """The data set with ``input_ids``, ``length`` (tokens kept) and ``n_cut`` (tokens lost to ``max_length``) added.

    Nothing is padded here: each batch is padded to its own longest text. ``length`` counts the special tokens.
    """

    def encode(rows: dict) -> dict:
        ids, n_cut = cut_ids(tokenizer, rows[text_column], max_length=max_length)
        return {"input_ids": ids, "length": [len(tokens) for tokens in ids], "n_cut": n_cut}

    return dataset.map(encode, batched=True)


def round_up(length: int, multiple: int = LENGTH_MULTIPLE) -> int:
    """The next multiple at or above ``length``.

    >>> round_up(17), round_up(32)
    (32, 32)
    """
    return -(-length // multiple) * multiple


def token_budget_batches(
    lengths: Sequence[int] | np.ndarray, *, max_tokens: int, multiple: int = LENGTH_MULTIPLE, seed: int | None = None
) -> list[np.ndarray]:
    """Row numbers in batches of similar length, each at most ``max_tokens`` tokens once padded.

    Every row is in exactly one batch; a row longer than the budget has a batch of its own. With a seed the order of
    the batches and of rows of equal rounded length is shuffled (for training); without, batches run from long to short,
    so that the largest comes first and memory troubles show at once.
    """
    lengths = np.asarray(lengths)
    padded = -(-lengths // multiple) * multiple
    ties = np.arange(len(lengths)) if seed is None else np.random.default_rng(seed).permutation(len(lengths))
    order = np.lexsort((ties, -padded))
    batches, start = [], 0
    while start < len(order):
        # Lengths only fall from here on, so the first row's length is the batch's.
        size = max(1, max_tokens // max(1, int(padded[order[start]])))
        batches.append(order[start : start + size])
        start += size
    if seed is not None:
        np.random.default_rng(seed + 1).shuffle(batches)
    return batches


def pad_batch(
    input_ids: Sequence[Sequence[int]], tokenizer: "PreTrainedTokenizerBase", *, multiple: int = LENGTH_MULTIPLE
) -> dict[str, "torch.Tensor"]:
    """``input_ids`` and ``attention_mask``, both (batch, tokens) of int64, padded to the longest row's next multiple."""
    import torch

    length = round_up(max(len(ids) for ids in input_ids), multiple)
    ids = torch.full((len(input_ids), length), tokenizer.pad_token_id, dtype=torch.long)  # (batch, tokens)
    mask = torch.zeros_like(ids)
    for row, tokens in enumerate(input_ids):
        ids[row, : len(tokens)] = torch.as_tensor(tokens, dtype=torch.long)
        mask[row, : len(tokens)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def device_batches(
    input_ids: Sequence[Sequence[int]],
    tokenizer: "PreTrainedTokenizerBase",
    *,
    more: Mapping[str, np.ndarray] | None = None,
    max_tokens: int = BATCH_TOKENS,
) -> "Iterator[tuple[np.ndarray, dict[str, torch.Tensor]]]":
    """Row numbers and inputs on the device, long texts first, each row once; for passes without gradients.

    ``more``: further inputs of the model by name, arrays (rows, …).
    """
    import torch

    device = choose_device()
    # Sorted texts make few shapes as it is, and each token of padding costs: a smaller multiple than in training.
    for rows in token_budget_batches([len(ids) for ids in input_ids], max_tokens=max_tokens, multiple=8):
        inputs = pad_batch([input_ids[i] for i in rows], tokenizer, multiple=8)
        inputs |= {name: torch.as_tensor(values[rows]) for name, values in (more or {}).items()}
        yield rows, {name: values.to(device) for name, values in inputs.items()}
