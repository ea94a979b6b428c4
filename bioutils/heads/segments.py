"""Heads that are told where the two entities of a relation are."""

import torch
from torch import nn

from bioutils.errors import UsageError, expected
from bioutils.heads.dropout import Dropout

SEGMENT_FEATURES = 100
ROUND_ROWS = 64


def cut(vectors: torch.Tensor, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens of a stretch of each row, (rows, longest, width), and their mask (rows, longest).

    ``vectors`` (rows, tokens, width); ``places`` (rows, 2): from and to, exclusive. An empty stretch is one token of zeros.
    """
    start, end = places[:, :1], places[:, 1:]
    positions = start + torch.arange(max(1, int((end - start).max())), device=vectors.device)  # (rows, longest)
    mask = (positions < end).to(torch.int64)
    inside = positions.clamp(max=vectors.shape[1] - 1).unsqueeze(-1).expand(-1, -1, vectors.shape[2])
    return vectors.gather(1, inside) * mask.unsqueeze(-1), mask


class _Windows(torch.autograd.Function):
    """Row i: the sum over k of ``tokens[i + k] @ weights[block of i, k]``; rows in blocks of ``sizes``, a weight for each.

    ``tokens`` (rows + kernel - 1, width), ``weights`` (blocks, kernel, width, features). A sum of products of shifted rows:
    windows laid side by side for one product would copy each vector ``kernel`` times, and again on the way back.
    """

    @staticmethod
    def forward(ctx, tokens: torch.Tensor, weights: torch.Tensor, sizes: list[int]) -> torch.Tensor:
        ctx.save_for_backward(tokens, weights)
        ctx.sizes = sizes
        found = tokens.new_empty(sum(sizes), weights.shape[-1])
        start = 0
        for block, weight in zip(found.split(sizes), weights, strict=True):
            for step, matrix in enumerate(weight):
                part = tokens[start + step : start + step + len(block)]
                torch.addmm(block, part, matrix, beta=int(step > 0), out=block)  # beta=0 reads nothing of what is there
            start += len(block)
        return found

    @staticmethod
    def backward(ctx, gradient: torch.Tensor):
        tokens, weights = ctx.saved_tensors
        on_tokens = torch.zeros_like(tokens) if ctx.needs_input_grad[0] else None
        on_weights = torch.empty_like(weights)
        start = 0
        for i, block in enumerate(gradient.split(ctx.sizes)):
            for step, matrix in enumerate(weights[i]):
                here = slice(start + step, start + step + len(block))
                torch.mm(tokens[here].T, block, out=on_weights[i, step])
                if on_tokens is not None:
                    on_tokens[here].addmm_(block, matrix.T)
            start += len(block)
        return on_tokens, on_weights, None


class _Largest(torch.autograd.Function):
    """The largest value in each of ``n`` sets of rows, -inf for none; ``which`` (rows,) names each row's set, n for no set.

    Equal ones share the gradient. ``torch.segment_reduce`` does the same in ten times the time on a CPU.
    """

    @staticmethod
    def forward(ctx, values: torch.Tensor, which: torch.Tensor, n: int) -> torch.Tensor:
        found = values.new_full((n + 1, values.shape[1]), float("-inf"))
        found.scatter_reduce_(0, which.unsqueeze(1).expand_as(values), values, "amax")
        ctx.save_for_backward(values, which, found)
        return found[:n]

    @staticmethod
    def backward(ctx, gradient: torch.Tensor):
        values, which, found = ctx.saved_tensors
        is_largest = (values == found[which]).to(gradient.dtype)
        shared = torch.zeros_like(found).index_add_(0, which, is_largest)
        gradient = nn.functional.pad(gradient, (0, 0, 0, 1)) / shared.clamp(min=1)
        return is_largest.mul_(gradient[which]), None, None


class SegmentConvolutions(nn.Module):
    """A convolution of its own on each of ``n`` stretches of a row, ReLU, pooled: (n, rows, filters·width).

    The stretches' tokens lie one after another in one matrix, zeros between them, so hardly any padding is multiplied: of five
    segments cut out and padded to the longest of a batch, more than half would be. Zero where a stretch is empty.
    """

    def __init__(self, width: int, *, filters: int, kernel: int, pooling: str, n: int = 5):
        super().__init__()
        if pooling not in ("max", "average"):
            raise UsageError(expected("pooling", "a known way", pooling, available=["max", "average"]))
        if kernel % 2 == 0:
            raise UsageError(expected("kernel", "an odd number of tokens", kernel))
        self.pooling, self.kernel, self.features = pooling, kernel, filters * width
        made = [nn.Conv1d(width, self.features, kernel) for _ in range(n)]  # for their first values
        self.weight = nn.Parameter(torch.stack([c.weight.detach().permute(2, 1, 0) for c in made]).contiguous())
        self.bias = nn.Parameter(torch.stack([c.bias.detach() for c in made]))

    def forward(self, vectors: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
        """Features of token vectors (rows, tokens, width) at ``segments`` (rows, n, 2), each from and to."""
        rows, tokens, width = vectors.shape
        n, gap = segments.shape[1], self.kernel // 2
        starts, ends = segments.transpose(0, 1).reshape(-1, 2).unbind(1)  # all rows' first stretch, then the second, …
        lengths = ends - starts
        # After each stretch ``gap`` rows of zeros, after the last more, so that few sizes of matrices occur: a product's kernel
        # is compiled for each size. ``gap`` more before all and behind all: what lies beyond a stretch's ends.
        after = torch.full_like(lengths, gap).view(n, rows)
        sizes = (lengths + gap).view(n, rows).sum(1)
        after[:, -1] += -sizes % ROUND_ROWS
        sizes, after = sizes + -sizes % ROUND_ROWS, after.flatten()
        which = torch.repeat_interleave(lengths + after)
        offset = (
            torch.arange(len(which), device=vectors.device)
            - (torch.cumsum(lengths + after, 0) - lengths - after)[which]
        )
        first = starts + torch.arange(rows, device=vectors.device).repeat(n) * tokens
        place = torch.where(offset < lengths[which], first[which] + offset, rows * tokens)
        place = nn.functional.pad(place, (gap, gap), value=rows * tokens)
        flat = torch.cat([vectors.reshape(-1, width), vectors.new_zeros(1, width)]).index_select(0, place)
        weight = self.weight
        if torch.is_autocast_enabled(flat.device.type):
            precision = torch.get_autocast_dtype(flat.device.type)
            flat, weight = flat.to(precision), weight.to(precision)
        channels = _Windows.apply(flat, weight, sizes.tolist())
        which = torch.where(offset < lengths[which], which, n * rows)  # windows around the zeros belong to no stretch
        bias = self.bias.unsqueeze(1)
        if self.pooling == "max":  # the largest, then bias and ReLU: the same in another order, on far fewer numbers
            return (_Largest.apply(channels, which, n * rows).view(n, rows, -1) + bias).relu()
        channels = (channels.float() + self.bias.repeat_interleave(sizes, 0)).relu()
        total = channels.new_zeros(n * rows + 1, channels.shape[1]).index_add(0, which, channels)[:-1]
        return (total / lengths.clamp(min=1)[:, None]).view(n, rows, -1)


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
        self.convolutions = SegmentConvolutions(width, filters=filters, kernel=kernel, pooling=pooling)
        self.parts = nn.ModuleList(
            nn.Sequential(
                Dropout(0.25), nn.Linear(self.convolutions.features, SEGMENT_FEATURES), nn.ReLU(),
                nn.Linear(SEGMENT_FEATURES, SEGMENT_FEATURES),
            )
            for _ in range(5)
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
            part(features) for part, features in zip(self.parts, self.convolutions(vectors, segments), strict=True)
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
