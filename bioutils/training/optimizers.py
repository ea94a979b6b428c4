"""The optimiser: which weights decay, and which learn faster than others."""

import re
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

LAYER = re.compile(r"(?:^|\.)layers?\.(\d+)\.")
EMBEDDINGS = re.compile(r"(?:^|\.)embeddings(_project)?\.")


class Rates(Protocol):
    """What the optimiser asks of settings."""

    learning_rate: float
    weight_decay: float
    layer_decay: float


def layer_depths(names: list[str]) -> list[int]:
    """How high each weight of a classifier on an encoder stands: embeddings 0, layer i (from 0) i + 1, the head on top n + 2.

    >>> layer_depths(["bert.embeddings.word.weight", "bert.encoder.layer.0.w", "bert.encoder.layer.1.w", "classifier.weight"])
    [0, 1, 2, 4]
    """
    layers = [int(found[1]) if (found := LAYER.search(name)) else None for name in names]
    top = max((layer for layer in layers if layer is not None), default=-1) + 1
    return [
        layer + 1 if layer is not None else 0 if EMBEDDINGS.search(name) else top + 2
        for name, layer in zip(names, layers, strict=True)
    ]


def parameter_groups(model: "torch.nn.Module", settings: Rates) -> list[dict[str, Any]]:
    """AdamW's groups: decay pulls weight matrices towards zero, but not biases and norms, which are vectors.

    ``settings.layer_decay`` below 1 slows each layer by that factor against the one above it, embeddings most: what is near the
    words is general and should stay (Clark et al. 2020, app. B: 0.8 for their small, 0.9 for their large model). A model's
    ``rates``, factors by the beginnings of names, make groups that learn faster or slower than the rest.
    """
    rates = getattr(model, "rates", {})
    learning = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    depths = layer_depths([name for name, _ in learning])
    groups: dict[tuple[float, bool], list] = {}
    for (name, weight), depth in zip(learning, depths, strict=True):
        factor = next((rate for start, rate in rates.items() if name.startswith(start)), 1.0)
        factor *= settings.layer_decay ** (max(depths) - depth)
        groups.setdefault((factor, weight.ndim >= 2), []).append(weight)
    return [
        {
            "params": weights,
            "weight_decay": settings.weight_decay if matrices else 0.0,
            "lr": settings.learning_rate * factor,
        }
        for (factor, matrices), weights in sorted(groups.items(), key=lambda item: (item[0][0], not item[0][1]))
    ]


def make_optimizer(model: "torch.nn.Module", settings: Rates, *, epsilon: float = 1e-8) -> "torch.optim.Optimizer":
    """AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) over ``parameter_groups``."""
    import torch

    return torch.optim.AdamW(parameter_groups(model, settings), lr=settings.learning_rate, eps=epsilon, fused=True)
