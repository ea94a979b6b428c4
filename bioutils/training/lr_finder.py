"""The learning-rate range test: one short sweep from a tiny to a huge rate shows where training is fast and where it breaks.

Smith 2015, Cyclical Learning Rates for Training Neural Networks, arXiv 1506.01186.
"""

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from bioutils.errors import UsageError, expected

if TYPE_CHECKING:
    import pandas as pd
    import torch


@dataclass(frozen=True)
class RangeTest:
    """The sweep: ``rates``, ``losses`` as they came, ``smoothed`` losses, all (steps,); ``diverged`` tells why it ended.

    ``suggestion`` is the rate at which the smoothed loss falls fastest; None where it never falls.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    diverged: bool
    suggestion: float | None

    def table(self) -> "pd.DataFrame":
        """One row a step: ``learning_rate, loss, smoothed``."""
        import pandas as pd

        return pd.DataFrame({"learning_rate": self.rates, "loss": self.losses, "smoothed": self.smoothed})


def range_test(
    model: "torch.nn.Module",
    optimizer: "torch.optim.Optimizer",
    batches: Iterable[Any],
    loss_of: Callable[[Any], "torch.Tensor"],
    *,
    low: float = 1e-7,
    high: float = 1.0,
    steps: int = 100,
    smoothing: float = 0.9,
    divergence: float = 4.0,
) -> RangeTest:
    """Sweeps the rate from ``low`` to ``high``, growing by a constant factor, a batch a step; then puts everything back.

    ``loss_of(batch)`` gives the mean loss of a batch, with its graph. ``smoothing`` is the weight of the past in the
    running mean of the loss (corrected for its start at 0). Groups of the optimiser keep their ratios. The sweep ends early
    when the smoothed loss is above ``divergence`` times its lowest value, or not finite. Weights, optimiser, mode and random
    state are restored.
    Raises UsageError on a range that is none and where there are no batches; batches are used again when they run out.
    """
    import torch

    if not 0 < low < high:
        raise UsageError(expected("low and high", "0 < low < high", (low, high)))
    if steps < 10:
        raise UsageError(expected("steps", "10 or more", steps))
    if not 0 <= smoothing < 1:
        raise UsageError(expected("smoothing", "0 or more, below 1", smoothing))
    if not (batches := list(batches)):
        raise UsageError("Expected batches to hold one or more, found none. Draw some training rows.")
    # On the CPU: a second copy of a large model may not fit beside it on a GPU.
    weights = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
    state, training = copy.deepcopy(optimizer.state_dict()), model.training
    start = optimizer.param_groups[0]["lr"]
    factors = [group["lr"] / start if start else 1.0 for group in optimizer.param_groups]
    rates, losses, smoothed = [], [], []
    mean, diverged = 0.0, False
    model.train()
    with torch.random.fork_rng():
        try:
            for step, batch in zip(range(steps), chain.from_iterable(repeat(batches)), strict=False):
                rate = low * (high / low) ** (step / (steps - 1))
                for group, factor in zip(optimizer.param_groups, factors, strict=True):
                    group["lr"] = rate * factor
                optimizer.zero_grad()
                loss = loss_of(batch)
                mean = smoothing * mean + (1 - smoothing) * loss.item()
                smooth = mean / (1 - smoothing ** (step + 1))
                if not math.isfinite(smooth) or (smoothed and smooth > divergence * min(smoothed)):
                    diverged = True
                    break
                rates.append(rate)
                losses.append(loss.item())
                smoothed.append(smooth)
                loss.backward()
                optimizer.step()
        finally:
            model.load_state_dict(weights)
            optimizer.load_state_dict(state)
            optimizer.zero_grad()
            model.train(training)
    if not rates:
        raise UsageError("The loss of the first batch is not finite. Look at the data and the model before the rate.")
    found = np.array(rates), np.array(losses), np.array(smoothed)
    return RangeTest(*found, diverged, steepest(found[0], found[2]))


def steepest(rates: np.ndarray, smoothed: np.ndarray) -> float | None:
    """The rate at which ``smoothed`` falls fastest along the logarithm of the rate; None where it never falls.

    A tenth of the steps at each end is left out: the running mean has hardly begun, or the loss already turns.
    """
    edge = len(rates) // 10
    if len(rates) < 3 + 2 * edge:
        return None
    slope = np.gradient(smoothed, np.log(rates))[edge : len(rates) - edge]
    return float(rates[edge + int(slope.argmin())]) if slope.min() < 0 else None
