"""Heads that are told where the two entities of a relation are."""

import torch
from torch import nn

from bioutils.errors import UsageError, expected
from bioutils.heads.dropout import Dropout

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


class SegmentConvolution(nn.Module):
    """``Convolution`` on one stretch of each row, ReLU, pooled: (rows, filters·width). Zero where the stretch is empty.

    The stretches' tokens lie one after another in one matrix, so no padding is multiplied: of five segments cut out and
    padded to the longest of a batch, more than half would be.
    """

    def __init__(self, width: int, *, filters: int, kernel: int, pooling: str):
        super().__init__()
        if pooling not in ("max", "average"):
            raise UsageError(expected("pooling", "a known way", pooling, available=["max", "average"]))
        self.convolution = nn.Conv1d(width, filters * width, kernel, padding=kernel // 2)
        self.pooling, self.kernel, self.features = pooling, kernel, filters * width

    def forward(self, vectors: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Features of token vectors (rows, tokens, width) at ``places`` (rows, 2), from and to."""
        rows, tokens, width = vectors.shape
        lengths = places[:, 1] - places[:, 0]
        row = torch.repeat_interleave(torch.arange(rows, device=vectors.device), lengths)
        offset = torch.arange(len(row), device=vectors.device) - (torch.cumsum(lengths, 0) - lengths)[row]
        flat = vectors.reshape(-1, width).index_select(
            0, row * tokens + places[row, 0] + offset
        )  # the stretches' tokens
        windows = []
        for step in range(-(self.kernel // 2), self.kernel // 2 + 1):  # neighbours, zero beyond a stretch's ends
            shifted = nn.functional.pad(flat, (0, 0, max(0, -step), max(0, step)))[max(0, step) :][: len(flat)]
            inside = (offset + step >= 0) & (offset + step < lengths[row])
            windows.append(shifted * inside.unsqueeze(1))
        windows = torch.cat(windows, 1)  # (stretch tokens, kernel·width)
        weight = self.convolution.weight.transpose(1, 2).flatten(1)
        channels = nn.functional.linear(windows, weight, self.convolution.bias).relu()
        if self.pooling == "max":
            return torch.segment_reduce(channels, "max", lengths=lengths, initial=0)  # ReLU is never below 0
        total = torch.segment_reduce(channels.float(), "sum", lengths=lengths, initial=0)
        return total / lengths.clamp(min=1)[:, None]


class CNN_seg(nn.Module):
    """The token sequence cut into before, first entity, between, second entity, after; a convolution of its own on each.

    A segment: convolution (3 x width channels of 3 tokens), pooling, dropout 0.25, 100, ReLU, 100. The five, and whether the
    second argument comes first: LayerNorm, dropout 0.1, 100, Hardtanh, LayerNorm, labels. ``bounded=True`` is the earlier
    experiments' form, with a Hardtanh on the logits too: with 7 classes no probability could then exceed 0.552.
    ``pooling``: "max", or their "average". ``project`` > 0 first maps each token's vector to that width, with dropout 0.3: for
    vectors of several layers side by side.
    """

    pooled, places = False, True

    def __init__(self, width: int, n_labels: int, *, filters: int = 3, kernel: int = 3, pooling: str = "max",
                 bounded: bool = False, project: int = 0):  # fmt: skip
        super().__init__()
        self.bounded = bounded
        self.project = nn.Sequential(Dropout(0.3), nn.Linear(width, project)) if project else nn.Identity()
        width = project or width
        self.convolutions = nn.ModuleList(
            SegmentConvolution(width, filters=filters, kernel=kernel, pooling=pooling) for _ in range(5)
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
        vectors = self.project(vectors)
        found = [
            part(convolution(vectors, segments[:, i]))
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
