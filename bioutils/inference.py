"""Texts through a classifier: batched by length, in bfloat16 where it pays, in the order they came."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bioutils.device import autocast, choose_device, keep_freed_memory
from bioutils.features import BATCH_TOKENS, cut_ids, device_batches

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase


class Predictions(NamedTuple):
    """``logits`` (texts, classes) in float32, and ``n_cut``: how many texts were longer than ``max_length``."""

    logits: np.ndarray
    n_cut: int


def predict_logits(
    model: "nn.Module",
    tokenizer: "PreTrainedTokenizerBase",
    texts: Sequence[str],
    *,
    max_length: int,
    batch_tokens: int = BATCH_TOKENS,
    bf16: bool | None = None,
) -> Predictions:
    """The classifier's logits of ``texts``, cut at ``max_length`` tokens and counted where cut.

    Rows come back in the order of ``texts``. Padding is masked, so batch size and neighbours change a probability
    only by rounding: in bfloat16 (the default where it pays) by less than 0.005.
    """
    ids, n_cut = cut_ids(tokenizer, texts, max_length=max_length)
    logits = logits_of(model, tokenizer, ids, batch_tokens=batch_tokens, bf16=bf16)
    return Predictions(logits, sum(lost > 0 for lost in n_cut))


def logits_of(
    model: "nn.Module",
    tokenizer: "PreTrainedTokenizerBase",
    input_ids: Sequence[Sequence[int]],
    *,
    more: Mapping[str, np.ndarray] | None = None,
    batch_tokens: int = BATCH_TOKENS,
    bf16: bool | None = None,
) -> np.ndarray:
    """Logits (rows, classes), float32, of token ids; ``more`` as in ``features.device_batches``. Puts the model into eval."""
    import torch

    keep_freed_memory()
    model = model.to(choose_device()).eval()
    logits = np.empty((len(input_ids), model.config.num_labels), dtype=np.float32)
    # Not inference_mode: under no_grad autocast casts the weights once, and not again for each batch.
    with torch.no_grad(), autocast(bf16):
        for rows, inputs in device_batches(input_ids, tokenizer, more=more, max_tokens=batch_tokens):
            logits[rows] = model(**inputs).logits.float().cpu().numpy()  # (batch, classes)
    return logits
