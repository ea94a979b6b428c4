"""Probabilities that mean what they say: temperature scaling, and the errors it is judged by."""

import numpy as np


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
