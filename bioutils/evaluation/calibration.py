"""Probabilities that mean what they say: temperature scaling, and the errors it is judged by."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities (rows, classes) of ``logits`` divided by a temperature; above 1 they are less sure.

    >>> softmax(np.array([[0.0, 0.0]])).tolist()
    [[0.5, 0.5]]
    """
    scaled = np.asarray(logits, dtype=float) / temperature
    powers = np.exp(scaled - scaled.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-likelihood, in nats, of the true labels."""
    return float(-np.log(np.clip(probabilities[np.arange(len(labels)), labels], 1e-12, 1)).mean())


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature in [0.05, 20] that minimises the log-loss of held-out ``logits`` (Guo et al. 2017, arXiv 1706.04599).

    Fit it on validation rows, never on test rows. Where every row is right and a sharper softmax only helps, the
    search would run to its bound: then 1 is returned, since the data cannot say.
    """
    from scipy.optimize import minimize_scalar

    labels = np.asarray(labels)
    if (np.argmax(logits, 1) == labels).all():
        return 1.0
    found = minimize_scalar(
        lambda log_t: log_loss(softmax(logits, np.exp(log_t)), labels), bounds=np.log([0.05, 20]), method="bounded"
    )
    return float(np.exp(found.x))


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, *, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins of the top probability, weighted by their rows.

    In [0, 1]; 0 is perfect (Naeini et al. 2015). Depends on ``bins`` and is biased upward on few rows.
    """
    confidence, right = probabilities.max(1), probabilities.argmax(1) == np.asarray(labels)
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = np.bincount(which, minlength=bins)
    gaps = np.abs(np.bincount(which, right, bins) - np.bincount(which, confidence, bins))
    return float(gaps.sum() / rows.sum())


def brier_score(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean squared distance, in [0, 2], between the probabilities and the one-hot truth (Brier 1950)."""
    truth = np.eye(probabilities.shape[1])[np.asarray(labels)]
    return float(((probabilities - truth) ** 2).sum(1).mean())


def reliability(probabilities: np.ndarray, labels: np.ndarray, *, bins: int = 10) -> "pd.DataFrame":
    """One row a bin of the top probability that holds rows: ``low, high, n, confidence`` (mean), ``accuracy``.

    Where the two means are equal the probabilities mean what they say.
    """
    import pandas as pd

    confidence, right = probabilities.max(1), probabilities.argmax(1) == np.asarray(labels)
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    n = np.bincount(which, minlength=bins)
    table = pd.DataFrame(
        {
            "low": np.arange(bins) / bins,
            "high": np.arange(1, bins + 1) / bins,
            "n": n,
            "confidence": np.bincount(which, confidence, bins) / np.maximum(n, 1),
            "accuracy": np.bincount(which, right, bins) / np.maximum(n, 1),
        }
    )
    return table[table["n"] > 0].reset_index(drop=True)


def risk_coverage(probabilities: np.ndarray, labels: np.ndarray) -> "pd.DataFrame":
    """What is lost and won by answering only where sure: ``threshold, coverage, risk``, from the strictest threshold on.

    At a threshold the rows whose top probability is at least that are answered: ``coverage`` is their share, ``risk`` the
    share of wrong ones among them (El-Yaniv & Wiener 2010). Equal probabilities are answered together.
    """
    import pandas as pd

    confidence = np.asarray(probabilities).max(1)
    wrong = np.asarray(probabilities).argmax(1) != np.asarray(labels)
    order = np.argsort(-confidence, kind="stable")
    confidence, mistakes = confidence[order], wrong[order].cumsum()
    last = np.append(np.flatnonzero(np.diff(confidence)), len(confidence) - 1)  # of each run of equal ones
    answered = last + 1
    return pd.DataFrame(
        {"threshold": confidence[last], "coverage": answered / len(confidence), "risk": mistakes[last] / answered}
    )


def abstain_threshold(probabilities: np.ndarray, labels: np.ndarray, *, max_risk: float) -> float:
    """The lowest top probability to answer at so that at most a share ``max_risk`` of the answers is wrong.

    Above 1, so that nothing is answered, where even the surest answers are wrong too often. Choose it on validation rows.
    """
    table = risk_coverage(probabilities, labels)
    fitting = table[table["risk"] <= max_risk]
    return float(fitting["threshold"].iloc[-1]) if len(fitting) else float(np.nextafter(1, 2))
