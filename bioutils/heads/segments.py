"""Heads that are told where the two entities of a relation are."""

import torch
from torch import nn

from bioutils.heads.convolution import Convolution

SEGMENT_FEATURES = 100


def cut(vectors: torch.Tensor, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens of a stretch of each row, (rows, longest, width), and their mask (rows, longest).

    ``vectors`` (rows, tokens, width); ``places`` (rows, 2): from and to, exclusive. An empty stretch is one token of zeros.
    """
    start, end = places[:, :1], places[:, 1:]
    positions = start + torch.arange(max(1, int((end - start).max())), device=vectors.device)  # (rows, longest)
    mask = (positions < end).to(torch.int64)
    inside = positions.clamp(max=vectors.shape[1] - 1).unsqueeze(-1).expand(-1, -1, vectors.shape[2])
    return vectors.gather(1, inside) * mask.unsqueeze(-1), mask


class CNN_seg(nn.Module):
    """The token sequence cut into before, first entity, between, second entity, after; a convolution of its own on each.

    A segment: convolution (3 x width channels of 3 tokens), pooling, dropout 0.25, 100, ReLU, 100. The five, and whether the
    second argument comes first: LayerNorm, dropout 0.1, 100, Hardtanh, LayerNorm, labels. ``bounded=True`` is the earlier
    experiments' form, with a Hardtanh on the logits too: with 7 classes no probability could then exceed 0.552.
    ``pooling``: "max", or their "average".
    """

    pooled, places = False, True

    def __init__(self, width: int, n_labels: int, *, filters: int = 3, kernel: int = 3, pooling: str = "max",
                 bounded: bool = False):  # fmt: skip
        super().__init__()
        self.bounded = bounded
        self.convolutions = nn.ModuleList(
            Convolution(width, filters=filters, kernel=kernel, pooling=pooling) for _ in range(5)
        )
        self.parts = nn.ModuleList(
            nn.Sequential(
                nn.Dropout(0.25), nn.Linear(c.features, SEGMENT_FEATURES), nn.ReLU(),
                nn.Linear(SEGMENT_FEATURES, SEGMENT_FEATURES),
            )
            for c in self.convolutions
        )  # fmt: skip
        features = 5 * SEGMENT_FEATURES + 1
        self.output = nn.Sequential(
            nn.LayerNorm(features), nn.Dropout(0.1), nn.Linear(features, SEGMENT_FEATURES), nn.Hardtanh(),
            nn.LayerNorm(SEGMENT_FEATURES), nn.Linear(SEGMENT_FEATURES, n_labels),
        )  # fmt: skip

    def forward(
        self, vectors: torch.Tensor, mask: torch.Tensor, segments: torch.Tensor, swapped: torch.Tensor
    ) -> torch.Tensor:
        """Logits (rows, labels) of token vectors, with ``segments`` (rows, 5, 2) and ``swapped`` (rows,)."""
        found = [
            part(convolution(*cut(vectors, segments[:, i])))
            for i, (convolution, part) in enumerate(zip(self.convolutions, self.parts, strict=True))
        ]
        logits = self.output(torch.cat([*found, swapped.unsqueeze(-1).to(found[0].dtype)], -1))
        return nn.functional.hardtanh(logits) if self.bounded else logits


class Entities(nn.Module):
    """The first token's vector beside the largest values over each argument's tokens; one hidden layer.

    Pooling the entities is what Baldini Soares et al. 2019 (arXiv 1906.03158) found best; a plain control for CNN_seg.
    """

    pooled, places = False, True

    def __init__(self, width: int, n_labels: int, *, hidden: int = 0, dropout: float = 0.1):
        super().__init__()
        hidden = hidden or width
        self.layers = nn.Sequential(
            nn.LayerNorm(3 * width), nn.Dropout(dropout), nn.Linear(3 * width, hidden), nn.GELU(), nn.Dropout(dropout),
            nn.Linear(hidden, n_labels),
        )  # fmt: skip

    def forward(
        self, vectors: torch.Tensor, mask: torch.Tensor, segments: torch.Tensor, swapped: torch.Tensor
    ) -> torch.Tensor:
        """Logits (rows, labels) of token vectors, with ``segments`` (rows, 5, 2) and ``swapped`` (rows,)."""
        pooled = []
        for i in (1, 3):
            tokens, keep = cut(vectors, segments[:, i])
            pooled.append(tokens.masked_fill(keep.unsqueeze(-1) == 0, torch.finfo(tokens.dtype).min).amax(1))
        order = swapped.bool().unsqueeze(-1)
        first, second = torch.where(order, pooled[1], pooled[0]), torch.where(order, pooled[0], pooled[1])
        return self.layers(torch.cat([vectors[:, 0], first, second], -1))
