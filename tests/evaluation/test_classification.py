import numpy as np
import pytest
from sklearn import metrics as sk

from bioutils.errors import UsageError
from bioutils.evaluation.classification import bootstrap_interval, evaluate

NAMES = ["a", "b", "c"]


def test_by_hand():
    # true a a b b c, predicted a b b b a
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.3, 0.6, 0.1], [0.5, 0.1, 0.4]])
    report = evaluate([0, 0, 1, 1, 2], probabilities, NAMES)
    assert report.confusion.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert report.metrics["accuracy"] == 3 / 5
    assert report.per_class["f1"].tolist() == pytest.approx([0.5, 0.8, 0])
    assert report.metrics["macro_f1"] == pytest.approx(1.3 / 3)
    assert report.metrics["balanced_accuracy"] == pytest.approx((0.5 + 1 + 0) / 3)
    # one against rest: c's 0.4 is above all others; b: 0.8, 0.6 against 0.1, 0.7, 0.1 -> 5 of 6; a: 0.8, 0.2 -> 4 of 6
    assert report.per_class["roc_auc"].tolist() == pytest.approx([4 / 6, 5 / 6, 1])


def test_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 3, 200), rng.dirichlet([1, 1, 1], 200)
    report, predicted = evaluate(labels, probabilities, NAMES), probabilities.argmax(1)
    assert report.metrics["macro_f1"] == pytest.approx(sk.f1_score(labels, predicted, average="macro"))
    assert report.metrics["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(labels, predicted))
    assert report.metrics["roc_auc"] == pytest.approx(sk.roc_auc_score(labels, probabilities, multi_class="ovr"))


def test_interval_is_that_of_resampled_rows():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 150)
    predicted = np.where(rng.random(150) < 0.8, labels, rng.integers(0, 3, 150))
    found = bootstrap_interval(sk.confusion_matrix(labels, predicted), seed=2)
    rows = rng.integers(0, 150, (2000, 150))
    accuracy = [(labels[r] == predicted[r]).mean() for r in rows]
    macro = [sk.f1_score(labels[r], predicted[r], average="macro") for r in rows[:500]]
    assert found["accuracy"] == pytest.approx(np.quantile(accuracy, [0.025, 0.975]), abs=0.012)
    assert found["macro_f1"] == pytest.approx(np.quantile(macro, [0.025, 0.975]), abs=0.02)
    assert found["accuracy"][1] - found["accuracy"][0] > 0.05


def test_one_class_in_the_test_has_no_auc():
    assert "roc_auc" not in evaluate([0, 0], np.array([[0.9, 0.1], [0.4, 0.6]]), ["a", "b"]).metrics


@pytest.mark.parametrize("probabilities", [np.ones((2, 3)), np.full((2, 2), np.nan)])
def test_what_cannot_be_scored(probabilities):
    with pytest.raises(UsageError, match="probabilities"):
        evaluate([0, 1], probabilities, ["a", "b"])
