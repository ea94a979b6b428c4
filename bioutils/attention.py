"""What the heads of an encoder attend to: weights, their flow through the layers, and numbers that describe them.

Attention tells where information may come from, not why a model decides as it does (Jain & Wallace 2019, arXiv 1902.10186;
Wiegreffe & Pinter 2019, arXiv 1908.04626). ``attribution`` asks that question.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bioutils.device import choose_device
from bioutils.encoders import max_tokens
from bioutils.errors import UsageError, expected

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TARGETS = ("CLS", "SEP", "itself", "next", "previous", "same word")


@dataclass(frozen=True)
class Attention:
    """``weights`` float32 (layers, heads, tokens, tokens): a row is what one token takes from each; it sums to 1.

    ``n_cut`` tokens of the text were left out because it was too long.
    """

    tokens: list[str]
    weights: np.ndarray
    n_cut: int

    @property
    def message(self) -> str:
        """What was left out, for a reader; empty where nothing was."""
        return f"The text is longer: its last {self.n_cut} tokens were left out." if self.n_cut else ""


def attention_of(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", text: str, *, max_length: int = 128
) -> Attention:
    """The attention weights of one text, cut at ``max_length`` tokens or at what the encoder takes.

    Raises UsageError for a model that returns none, with the way to load it: fused kernels never hold the weights.
    """
    import torch

    limit = min(max_length, max_tokens(model))
    whole = tokenizer(text)["input_ids"]
    ids = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt")
    inputs = {name: ids[name].to(choose_device()) for name in ("input_ids", "attention_mask")}
    found = None
    if getattr(model.config, "_attn_implementation", "eager") == "eager":
        model = model.to(choose_device()).eval()
        with torch.no_grad():
            found = model(**inputs, output_attentions=True).attentions
    if not found or any(layer is None for layer in found):
        raise UsageError(
            "This model returns no attention weights. Load it with them: load_encoder(name, attention=True) or "
            "load_classifier(folder, attention=True), of an architecture that has attention."
        )
    weights = torch.stack([layer[0].float() for layer in found]).cpu().numpy()  # (layers, heads, tokens, tokens)
    tokens = tokenizer.convert_ids_to_tokens(inputs["input_ids"][0].tolist())
    return Attention(tokens, weights, len(whole) - len(tokens))


def rollout(weights: np.ndarray, *, residual: float = 0.5) -> np.ndarray:
    """How much of each input token is in each token after each layer: (layers, tokens, tokens), rows sum to 1.

    Attention rollout (Abnar & Zuidema 2020, arXiv 2005.00928): heads averaged, the residual connection counted as
    attention to oneself, layers multiplied. ``weights``: (layers, heads, tokens, tokens).
    """
    mixed = (1 - residual) * weights.mean(1) + residual * np.eye(weights.shape[-1])
    flow = [mixed[0]]
    for layer in mixed[1:]:
        flow.append(layer @ flow[-1])
    return np.stack(flow)


def head_entropy(weights: np.ndarray) -> np.ndarray:
    """(layers, heads): the mean entropy of a head's rows, in units of its maximum; 0 one token, 1 all alike.

    A text of one token has no choice: 0.
    """
    tokens = weights.shape[-1]
    if tokens < 2:
        return np.zeros(weights.shape[:2])
    entropy = -(weights * np.log(np.clip(weights, 1e-12, 1))).sum(-1)  # (layers, heads, tokens)
    return entropy.mean(-1) / np.log(tokens)


def _target_masks(tokens: Sequence[str], cls: str, sep: str) -> dict[str, np.ndarray]:
    """For each of TARGETS a boolean (tokens, tokens): row, the token that looks; column, the one looked at."""
    names = np.array(tokens)
    n = len(names)
    itself = np.eye(n, dtype=bool)
    special = np.isin(names, [cls, sep])
    return {
        "CLS": np.broadcast_to(names == cls, (n, n)),
        "SEP": np.broadcast_to(names == sep, (n, n)),
        "itself": itself,
        "next": np.eye(n, k=1, dtype=bool),
        "previous": np.eye(n, k=-1, dtype=bool),
        "same word": (names[:, None] == names[None, :]) & ~itself & ~special[None, :],
    }


def attends_to(attentions: Sequence[Attention], tokenizer: "PreTrainedTokenizerBase") -> "pd.DataFrame":
    """One row a layer, head and target of TARGETS: ``layer, head, target, share`` of the attention, from 0 to 1.

    The mean over all tokens that are neither [CLS] nor [SEP]. Targets may overlap (the next token may be [SEP]), so shares
    need not sum to 1. "same word" is another place with the same token. Raises UsageError where no token is left.
    """
    import pandas as pd

    cls, sep = tokenizer.cls_token, tokenizer.sep_token
    sums, n_tokens = 0.0, 0
    for found in attentions:
        looks = ~np.isin(found.tokens, [cls, sep])
        masks = np.stack(list(_target_masks(found.tokens, cls, sep).values()))  # (targets, tokens, tokens)
        shares = np.einsum("lhij,tij->lhti", found.weights, masks)[..., looks]  # (layers, heads, targets, tokens)
        sums, n_tokens = sums + shares.sum(-1), n_tokens + int(looks.sum())
    if not n_tokens:
        raise UsageError(expected("attentions", "of texts with a word or more", "none"))
    means = sums / n_tokens  # (layers, heads, targets)
    rows = [
        (layer, head, target, float(means[layer, head, t]))
        for layer in range(means.shape[0])
        for head in range(means.shape[1])
        for t, target in enumerate(TARGETS)
    ]
    return pd.DataFrame(rows, columns=["layer", "head", "target", "share"])
