"""Convolution over a text's tokens, masked: what lies beside a text never reaches its features."""

import torch
from torch import nn

from bioutils.errors import UsageError, expected

CONV_POOLING = ("max", "average", "words")


class Convolution(nn.Module):
    """Convolution over the tokens, ReLU, pooling: (rows, features).

    ``filters`` × width channels of ``kernel`` tokens. ``pooling``: "max" or "average" over the tokens of a text, a value a
    channel; "words", the earlier experiments' form: the largest channel at each of ``positions`` places, zero past the text.
    """

    def __init__(self, width: int, *, filters: int = 3, kernel: int = 3, pooling: str = "max", positions: int = 500):
        super().__init__()
        if pooling not in CONV_POOLING:
            raise UsageError(expected("pooling", "a known way", pooling, available=CONV_POOLING))
        if kernel % 2 == 0:
            raise UsageError(expected("kernel", "an odd number of tokens", kernel))
        self.pooling, self.positions = pooling, positions
        self.convolution = nn.Conv1d(width, filters * width, kernel, padding=kernel // 2)
        self.features = positions if pooling == "words" else filters * width

    def forward(self, vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Features of token vectors (rows, tokens, width) with mask (rows, tokens)."""
        keep = mask.unsqueeze(-1).to(vectors.dtype)  # (rows, tokens, 1)
        kernel = self.convolution.kernel_size[0]
        padded = nn.functional.pad(vectors * keep, (0, 0, kernel // 2, kernel // 2))
        windows = padded.unfold(1, kernel, 1).flatten(2)  # (rows, tokens, width·kernel)
        # One matrix product: on CPU a third faster than the convolution, whose weights these are.
        channels = nn.functional.linear(windows, self.convolution.weight.flatten(1), self.convolution.bias)
        channels = channels.relu() * keep  # (rows, tokens, channels)
        if self.pooling == "max":
            return channels.amax(1)  # ReLU is never below the 0 of padding
        if self.pooling == "average":
            return channels.sum(1) / keep.sum(1).clamp(min=1)
        largest = channels.amax(2)[:, : self.positions]  # (rows, tokens)
        return nn.functional.pad(largest, (0, self.positions - largest.shape[1]))


def hidden_layer(features: int, hidden: int, n_labels: int, dropout: float) -> nn.Sequential:
    """Dropout, one hidden layer with ReLU, one linear layer."""
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, n_labels))
