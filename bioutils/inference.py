"""Texts through a classifier: batched by length, in bfloat16 where it pays, in the order they came."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bioutils.device import autocast, choose_device, keep_freed_memory
from bioutils.features import pad_batch, token_budget_batches

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

# Tokens a batch: past this a 2-core processor gains nothing more, and a batch still fits in its caches.
BATCH_TOKENS = 4096
MULTIPLE = 8  # of tokens: sorted texts make few shapes as it is, and each token of padding costs


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
    import torch

    keep_freed_memory()
    device = choose_device()
    model = model.to(device).eval()
    if not len(texts):
        return Predictions(np.zeros((0, model.config.num_labels), dtype=np.float32), 0)
    ids = tokenizer(list(texts), truncation=True, max_length=max_length + 1, return_attention_mask=False)["input_ids"]
    cut = [i for i, tokens in enumerate(ids) if len(tokens) > max_length]
    for i in cut:  # again, so that the last token is [SEP] as in training
        ids[i] = tokenizer(texts[i], truncation=True, max_length=max_length)["input_ids"]
    logits = np.empty((len(ids), model.config.num_labels), dtype=np.float32)
    # Not inference_mode: under no_grad autocast casts the weights once, and not again for each batch.
    with torch.no_grad(), autocast(bf16):
        for rows in token_budget_batches([len(tokens) for tokens in ids], max_tokens=batch_tokens, multiple=MULTIPLE):
            padded = pad_batch([ids[i] for i in rows], tokenizer, multiple=MULTIPLE)
            batch = {name: values.to(device) for name, values in padded.items()}
            logits[rows] = model(**batch).logits.float().cpu().numpy()  # (batch, classes)
    return Predictions(logits, len(cut))
