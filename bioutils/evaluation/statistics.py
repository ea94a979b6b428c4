"""What repeated runs say: spread, intervals, and whether two methods differ by more than chance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bioutils.errors import UsageError, expected

if TYPE_CHECKING:
    import pandas as pd

BLOCK = 500  # random assignments at a time


def summary(scores: "np.ndarray | Sequence[float]") -> dict[str, float]:
    """``n, min, max, mean, std`` (n − 1 in the denominator) and the 95 % t interval of the mean, ``low`` and ``high``.

    With one score std and interval are NaN: one run says nothing of its spread. Raises UsageError on none.
    """
    from scipy import stats

    scores = np.asarray(scores, dtype=float)
    if not len(scores):
        raise UsageError("Expected scores to hold one or more, found none.")
    n, mean = len(scores), float(scores.mean())
    std = float(scores.std(ddof=1)) if n > 1 else float("nan")
    half = float(stats.t.ppf(0.975, n - 1)) * std / n**0.5 if n > 1 else float("nan")
    return {
        "n": n, "min": float(scores.min()), "max": float(scores.max()), "mean": mean, "std": std,
        "low": mean - half, "high": mean + half,
    }  # fmt: skip


def summary_table(groups: "dict[str, np.ndarray]", columns: Sequence[str]) -> "pd.DataFrame":
    """One row a group and column of its scores (repeats, columns): ``group, score`` and ``summary``."""
    import pandas as pd

    return pd.DataFrame(
        [
            {"group": name, "score": column, **summary(scores[:, i])}
            for name, scores in groups.items()
            for i, column in enumerate(columns)
        ]
    )


def difference_of_means(first: Sequence[float], second: Sequence[float]) -> dict[str, float]:
    """``difference`` (first − second), its 95 % Welch interval ``low`` and ``high``, and two effect sizes.

    ``cohen_d``: the difference in pooled standard deviations; ``cliff_delta``: how much oftener a score of the first lies above
    one of the second than below, from −1 to 1 (Cliff 1993). NaN where fewer than two scores tell no spread.
    """
    from scipy import stats

    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    found = {"difference": float(a.mean() - b.mean())}
    low = high = d = float("nan")
    if min(len(a), len(b)) > 1:
        interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
        low, high = float(interval.low), float(interval.high)
        pooled = (((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / (len(a) + len(b) - 2)) ** 0.5
        d = found["difference"] / float(pooled) if pooled else float("nan")
    delta = float(np.sign(a[:, None] - b[None]).mean())
    return found | {"low": low, "high": high, "cohen_d": d, "cliff_delta": delta}


@dataclass(frozen=True)
class PairedTest:
    """Two methods on the same examples: their scores, the difference, and how often chance makes it as large."""

    metric: str
    first: float
    second: float
    p_value: float
    n_examples: int
    n_differ: int
    n_random: int

    @property
    def difference(self) -> float:
        """First minus second."""
        return self.first - self.second


def approximate_randomisation(
    truth: Sequence[int],
    first: Sequence[int],
    second: Sequence[int],
    *,
    metric: str = "macro_f1",
    groups: Sequence | None = None,
    n_random: int = 10_000,
    seed: int = 0,
) -> PairedTest:
    """Two-sided paired test by random exchange of the two methods' answers (Noreen 1989; Yeh 2000, COLING).

    Under the null hypothesis either method could have given either answer: so each example's two answers (or each
    group's, where examples of a document go together) are swapped by a coin, ``n_random`` times, and p is the share of exchanges
    whose difference is at least the one found, the observed one counted in. ``metric``: "accuracy" or "macro_f1" (over the
    classes that truth or either method has). Raises UsageError on unequal lengths or another metric.
    """
    truth, first, second = (np.asarray(x) for x in (truth, first, second))
    if not len(truth) == len(first) == len(second) or not len(truth):
        lengths = (len(truth), len(first), len(second))
        raise UsageError(expected("truth, first and second", "of one length, above 0", lengths))
    score = _SCORES.get(metric)
    if score is None:
        raise UsageError(expected("metric", "a known one", metric, available=_SCORES))
    classes, numbers = np.unique(np.concatenate([truth, first, second]), return_inverse=True)
    k, n = len(classes), len(truth)
    truth, first, second = numbers[:n], numbers[n : 2 * n], numbers[2 * n :]
    _, which = np.unique(np.arange(n) if groups is None else np.asarray(groups), return_inverse=True)
    a, b = (np.bincount(truth * k + x, minlength=k * k).astype(float) for x in (first, second))
    # What a swap of a group moves from one confusion matrix to the other; groups that move nothing need no coin.
    moves = np.zeros((which.max() + 1, k * k))
    np.add.at(moves, (which, truth * k + second), 1)
    np.add.at(moves, (which, truth * k + first), -1)
    moves = moves[np.any(moves, axis=1)]
    found = score(a.reshape(k, k)) - score(b.reshape(k, k))
    rng, extreme = np.random.default_rng(seed), 0
    for start in range(0, n_random, BLOCK):
        coins = rng.integers(0, 2, (min(BLOCK, n_random - start), len(moves)))
        moved = coins @ moves  # (assignments, k·k)
        differences = score((a + moved).reshape(-1, k, k)) - score((b - moved).reshape(-1, k, k))
        extreme += int((np.abs(differences) >= abs(found) - 1e-12).sum())
    return PairedTest(
        metric, float(score(a.reshape(k, k))), float(score(b.reshape(k, k))), (extreme + 1) / (n_random + 1), n,
        int((first != second).sum()), n_random,
    )  # fmt: skip


def _accuracy(confusions: np.ndarray) -> np.ndarray:
    return np.trace(confusions, axis1=-2, axis2=-1) / confusions.sum((-2, -1))


def _macro_f1(confusions: np.ndarray) -> np.ndarray:
    """Over all classes of the matrix that truth or prediction has."""
    hits = np.diagonal(confusions, axis1=-2, axis2=-1)
    both = confusions.sum(-1) + confusions.sum(-2)
    f1 = np.divide(2 * hits, both, out=np.zeros(hits.shape), where=both > 0)
    return f1.sum(-1) / np.maximum(1, (both > 0).sum(-1))


_SCORES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"accuracy": _accuracy, "macro_f1": _macro_f1}


def mcnemar(truth: Sequence[int], first: Sequence[int], second: Sequence[int]) -> dict[str, float]:
    """McNemar's exact test: ``only_first`` and ``only_second`` count what one alone got right, ``p_value`` is two-sided binomial.

    ``odds_ratio`` (only_first / only_second, each plus a half) is its effect size.
    """
    from scipy.stats import binomtest

    truth, first, second = (np.asarray(x) for x in (truth, first, second))
    right, other = first == truth, second == truth
    only_first, only_second = int((right & ~other).sum()), int((other & ~right).sum())
    n = only_first + only_second
    return {
        "only_first": only_first,
        "only_second": only_second,
        "p_value": float(binomtest(only_first, n).pvalue) if n else 1.0,
        "odds_ratio": (only_first + 0.5) / (only_second + 0.5),
    }


def majority(predictions: Sequence[np.ndarray]) -> np.ndarray:
    """The class that most repeats gave each example, ties to the lower number: one answer a method for paired tests."""
    stacked = np.stack([np.asarray(p) for p in predictions])  # (repeats, examples)
    votes = np.apply_along_axis(np.bincount, 0, stacked, minlength=stacked.max() + 1)
    return votes.argmax(0)
