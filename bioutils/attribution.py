"""Which words argue for a class: integrated gradients, by captum, and the check that they depend on what was learned.

Sundararajan et al. 2017, Axiomatic Attribution for Deep Networks, arXiv 1703.01365.
"""

import copy
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bioutils.device import choose_device
from bioutils.encoders import max_tokens
from bioutils.errors import UsageError, expected

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Attribution:
    """How much each word of a text adds to a class's logit, against a text of the same length made of [PAD].

    ``words`` are pieces of the text, ``scores`` theirs (sub-words added up). ``special`` is what [CLS] and [SEP] got, and
    ``gap`` the class's logit less the baseline's less all scores: 0 if the integral were exact.
    """

    words: list[str]
    scores: np.ndarray
    special: float
    target: int
    probability: float
    gap: float
    n_cut: int


def integrated_gradients(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    text: str,
    *,
    target: int | None = None,
    max_length: int = 128,
    n_steps: int = 64,
) -> Attribution:
    """The attribution of a text's words to ``target`` (the predicted class where None).

    The path runs in ``n_steps`` steps from [PAD] at each word (the special tokens stay) to the text, in the space of the
    word embeddings. Raises UsageError for a text without words and for a class that is not there.
    """
    import torch
    from captum.attr import LayerIntegratedGradients

    device, limit = choose_device(), min(max_length, max_tokens(model))
    model = model.to(device).eval()
    found = tokenizer(text, truncation=True, max_length=limit, return_offsets_mapping=True)
    ids = torch.tensor([found["input_ids"]], device=device)
    words = found.word_ids()
    special = torch.tensor([[word is None for word in words]], device=device)
    if special.all():
        raise UsageError(expected("text", "one word or more", text))
    mask = torch.ones_like(ids)
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask).logits[0]
        target = int(logits.argmax()) if target is None else target
        if not 0 <= target < len(logits):
            raise UsageError(expected("target", f"a class from 0 to {len(logits) - 1}", target))
        baseline = torch.where(special, ids, torch.full_like(ids, tokenizer.pad_token_id))
        start = model(input_ids=baseline, attention_mask=mask).logits[0, target]

    def logit(input_ids, attention_mask):
        return model(input_ids=input_ids, attention_mask=attention_mask).logits[:, target]

    method = LayerIntegratedGradients(logit, model.get_input_embeddings())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum warns that it sets gradients on
        values = method.attribute(
            ids, baselines=baseline, additional_forward_args=(mask,), n_steps=n_steps, internal_batch_size=16
        )
    scores = values.sum(-1)[0].detach().cpu().double().numpy()  # (tokens,)
    inside = [word for word in words if word is not None]
    totals, spans = np.zeros(max(inside) + 1), {}
    for word, score, (begin, end) in zip(words, scores, found["offset_mapping"], strict=True):
        if word is not None:
            totals[word] += score
            spans[word] = (spans.get(word, (begin, end))[0], end)
    texts = [text[slice(*spans[word])] for word in sorted(spans)]
    return Attribution(
        texts,
        totals[sorted(spans)],
        float(scores[[word is None for word in words]].sum()),
        target,
        float(torch.softmax(logits, -1)[target]),
        float(logits[target] - start) - float(scores.sum()),
        len(tokenizer(text)["input_ids"]) - len(words),
    )


def randomised(model: "nn.Module", *, seed: int = 0) -> "nn.Module":
    """A copy whose weights are drawn anew, each tensor with its own mean and spread: the same shape, nothing learned.

    For the sanity check of Adebayo et al. 2018 (arXiv 1810.03292): an attribution that stays the same with such a model
    says nothing of what the model has learned.
    """
    import torch

    drawn = copy.deepcopy(model).cpu()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in drawn.parameters():
            spread = weights.std() if weights.numel() > 1 else weights.new_zeros(())
            weights.copy_(weights.mean() + spread * torch.randn(weights.shape, generator=generator))
    return drawn.eval()


def agreement(first: Attribution, second: Attribution) -> float:
    """Spearman's rank correlation, from -1 to 1, between two attributions of the same words; NaN for fewer than three."""
    from scipy.stats import spearmanr

    if first.words != second.words:
        raise UsageError("Expected two attributions of the same text, found other words.")
    return float(spearmanr(first.scores, second.scores).statistic) if len(first.words) > 2 else float("nan")
