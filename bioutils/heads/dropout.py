"""Dropout that draws few random numbers."""

import torch
from torch import nn


def dropout(values: torch.Tensor, share: float) -> torch.Tensor:
    """``values`` with about ``share`` of them set to zero and the rest scaled up (Srivastava et al. 2014).

    A random byte decides each, eight from one draw of the generator: torch's own draws one a value, which on a CPU takes
    longer than a layer's forward pass. The share is rounded to 256ths, and the scale fits it exactly.
    """
    zeros = round(256 * share)
    draws = torch.empty((values.numel() + 7) // 8, dtype=torch.int64, device=values.device).random_(-(2**63), None)
    keep = (draws.view(torch.uint8)[: values.numel()] >= zeros).view(values.shape)
    return values * (keep.to(values.dtype) * (256 / (256 - zeros)))


class Dropout(nn.Module):
    """``dropout`` in training, nothing otherwise."""

    def __init__(self, share: float):
        super().__init__()
        self.share = share

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """The values, about ``share`` of them zero while training."""
        return dropout(values, self.share) if self.training and self.share else values
