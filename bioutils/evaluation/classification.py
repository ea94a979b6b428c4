"""Scores of a single-label classifier, named for what they are, each with a bootstrap interval where it matters."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bioutils.errors import UsageError, expected

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ClassificationReport:
    """``metrics`` (flat, numbers only), ``per_class`` (one row a class) and ``confusion`` (true × predicted counts)."""

    names: list[str]
    metrics: dict[str, float]
    per_class: "pd.DataFrame"
    confusion: np.ndarray = field(repr=False)

    def interval(self, metric: str) -> tuple[float, float]:
        """The 95 % bootstrap interval of ``accuracy`` or ``macro_f1``."""
        return self.metrics[f"{metric}_low"], self.metrics[f"{metric}_high"]

    def __str__(self) -> str:
        lines = [
            f"{metric.replace('_', ' '):17s} {self.metrics[metric]:.4f}  (95 % interval {low:.4f} to {high:.4f})"
            for metric in ("accuracy", "macro_f1", "micro_f1_positive")
            if metric in self.metrics
            for low, high in [self.interval(metric)]
        ]
        return "\n".join([*lines, "", self.per_class.round(4).to_string(index=False)])


def _f1(confusions: np.ndarray) -> np.ndarray:
    """F1 by class, (…, classes), of confusion matrices (…, true, predicted); 0 where a class is never true nor predicted."""
    hits = np.diagonal(confusions, axis1=-2, axis2=-1)
    both = confusions.sum(-1) + confusions.sum(-2)
    return np.divide(2 * hits, both, out=np.zeros(hits.shape), where=both > 0)


def micro_f1(confusions: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """F1 of all decisions for ``classes`` together, (…,), of confusion matrices (…, true, predicted).

    Over all classes of a single-label task it is the accuracy; over the positive ones it is BLURB's score for relations.
    """
    classes = list(classes)
    hits = np.diagonal(confusions, axis1=-2, axis2=-1)[..., classes].sum(-1)
    both = confusions[..., classes, :].sum((-2, -1)) + confusions[..., :, classes].sum((-2, -1))
    return np.divide(2 * hits, both, out=np.zeros(np.shape(hits)), where=both > 0)


def bootstrap_interval(
    confusion: np.ndarray,
    *,
    n_bootstrap: int = 10_000,
    seed: int = 0,
    by_group: np.ndarray | None = None,
    positive: Sequence[int] = (),
) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals of accuracy and macro-F1 over resampled test rows (Efron 1979).

    Both depend on the rows only through the confusion matrix, and drawing n rows with replacement is drawing a
    matrix from the multinomial of its cells: so ten thousand resamples cost milliseconds. ``by_group`` (groups, true, predicted)
    draws whole groups instead, since the rows of a document are not independent. ``positive``: the classes of micro-F1.
    """
    rng, n = np.random.default_rng(seed), int(confusion.sum())
    if by_group is None:
        draws = rng.multinomial(n, confusion.ravel() / n, size=n_bootstrap)
    else:
        groups = len(by_group)
        times = rng.multinomial(groups, np.full(groups, 1 / groups), size=n_bootstrap)  # (resamples, groups)
        draws = times.astype(np.float32) @ by_group.reshape(groups, -1).astype(np.float32)
    draws = draws.reshape(n_bootstrap, *confusion.shape)  # (resamples, true, predicted)
    totals = draws.sum((1, 2))
    values = {"accuracy": np.trace(draws, axis1=1, axis2=2) / totals, "macro_f1": _f1(draws).mean(-1)}
    if len(positive):
        values["micro_f1_positive"] = micro_f1(draws, positive)
    return {name: tuple(np.quantile(v, [0.025, 0.975]).tolist()) for name, v in values.items()}


def evaluate(
    labels: Sequence[int] | np.ndarray,
    probabilities: np.ndarray,
    names: Sequence[str],
    *,
    seed: int = 0,
    n_bootstrap: int = 10_000,
    groups: Sequence[str] | np.ndarray | None = None,
    positive: Sequence[str] = (),
) -> ClassificationReport:
    """The report on ``probabilities`` (rows, classes) against true ``labels`` (rows,).

    ``groups`` (rows,): the document of each row; intervals are then over documents. ``positive``: names of the classes that
    ``micro_f1_positive`` runs over. ``macro_f1`` is the mean over all ``names``, ``macro_f1_present`` over those that rows have.
    ``roc_auc`` is the mean over classes of one against the rest, left out when the rows hold one class alone.
    Accuracy of a single-label task equals micro-F1. Raises UsageError on mismatched shapes or non-finite numbers.
    """
    import pandas as pd
    from sklearn import metrics as sk

    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=float)
    if len(labels) == 0 or probabilities.shape != (len(labels), len(names)):
        raise UsageError(expected("probabilities", f"of shape ({len(labels)}, {len(names)})", probabilities.shape))
    if not np.isfinite(probabilities).all():
        raise UsageError("Expected probabilities to be finite, found NaN or infinity. Did the training diverge?")
    predicted = probabilities.argmax(1)
    classes = np.arange(len(names))
    confusion = sk.confusion_matrix(labels, predicted, labels=classes)
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        labels, predicted, labels=classes, zero_division=0
    )
    auc = [
        sk.roc_auc_score(labels == c, probabilities[:, c]) if 0 < (labels == c).sum() < len(labels) else np.nan
        for c in classes
    ]
    per_class = pd.DataFrame(
        {"class": names, "precision": precision, "recall": recall, "f1": f1, "roc_auc": auc, "support": support}
    )
    values = {
        "accuracy": float((labels == predicted).mean()),
        "macro_f1": float(f1.mean()),
        "balanced_accuracy": float(recall[support > 0].mean()),
        "macro_precision": float(precision.mean()),
        "macro_recall": float(recall.mean()),
        "macro_f1_present": float(f1[support > 0].mean()),
        "n": len(labels),
    }
    chosen = [list(names).index(name) for name in positive]
    if chosen:
        values["micro_f1_positive"] = float(micro_f1(confusion, chosen))
    by_group = None
    if groups is not None:
        _, which = np.unique(np.asarray(groups), return_inverse=True)
        by_group = np.zeros((which.max() + 1, len(names), len(names)))
        np.add.at(by_group, (which, labels, predicted), 1)
        values["n_groups"] = len(by_group)
    intervals = bootstrap_interval(confusion, n_bootstrap=n_bootstrap, seed=seed, by_group=by_group, positive=chosen)
    for metric, (low, high) in intervals.items():
        values |= {f"{metric}_low": low, f"{metric}_high": high}
    if np.isfinite(auc).any():
        values["roc_auc"] = float(np.nanmean(auc))
    values |= {f"f1_{name}": float(score) for name, score in zip(names, f1, strict=True)}
    return ClassificationReport(list(names), values, per_class, confusion)
