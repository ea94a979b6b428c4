import numpy as np
import pytest

from bioutils.evaluation import calibration
from bioutils.evaluation.calibration import brier_score, expected_calibration_error, fit_temperature, softmax


def test_temperature_is_found_again():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (4000, 3))
    labels = np.array([rng.choice(3, p=row) for row in softmax(logits)])
    assert fit_temperature(logits * 2.5, labels) == pytest.approx(2.5, rel=0.06)
    before, after = (expected_calibration_error(softmax(logits * 2.5, t), labels) for t in (1, 2.5))
    assert after < before / 3


def test_temperature_changes_no_answer_and_rows_sum_to_one():
    logits = np.random.default_rng(1).normal(size=(50, 4))
    assert (softmax(logits, 7.0).argmax(1) == logits.argmax(1)).all()
    assert np.allclose(softmax(logits * 1000, 0.1).sum(1), 1)  # no overflow


def test_all_right_says_nothing():
    assert fit_temperature(np.array([[3.0, 0], [0, 3.0]]), np.array([0, 1])) == 1.0


def test_errors_by_hand():
    probabilities, labels = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]]), np.array([0, 1, 1])
    # confidence 0.9, 0.9 with one of two right; 0.6 right: (2 x 0.4 + 1 x 0.4) / 3
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0.4)
    assert brier_score(probabilities, labels) == pytest.approx((2 * 0.01 + 2 * 0.81 + 2 * 0.16) / 3)
    assert expected_calibration_error(np.array([[1.0, 0]]), np.array([0])) == 0


P = np.array([[0.9, 0.1], [0.2, 0.8], [0.8, 0.2], [0.4, 0.6], [0.55, 0.45]])
TRUTH = np.array([0, 1, 1, 1, 1])  # the third and the last are wrong


def test_reliability_by_hand():
    table = calibration.reliability(P, TRUTH, bins=5)
    assert table[["low", "n"]].to_numpy().tolist() == [[0.4, 1], [0.6, 1], [0.8, 3]]
    assert table["confidence"].tolist() == pytest.approx([0.55, 0.6, 2.5 / 3])
    assert table["accuracy"].tolist() == pytest.approx([0, 1, 2 / 3])
    gap = (table["n"] * (table["confidence"] - table["accuracy"]).abs()).sum() / 5
    assert gap == pytest.approx(calibration.expected_calibration_error(P, TRUTH, bins=5))


def test_risk_and_coverage_by_hand():
    table = calibration.risk_coverage(P, TRUTH)
    assert table["threshold"].tolist() == [0.9, 0.8, 0.6, 0.55]  # the two of 0.8 are answered together
    assert table["coverage"].tolist() == pytest.approx([0.2, 0.6, 0.8, 1])
    assert table["risk"].tolist() == pytest.approx([0, 1 / 3, 1 / 4, 2 / 5])


@pytest.mark.parametrize(("max_risk", "wanted"), [(0, 0.9), (0.25, 0.6), (0.3, 0.6), (0.4, 0.55), (1, 0.55)])
def test_the_lowest_threshold_that_keeps_the_risk(max_risk, wanted):
    assert calibration.abstain_threshold(P, TRUTH, max_risk=max_risk) == wanted


def test_where_even_the_surest_is_wrong_nothing_is_answered():
    threshold = calibration.abstain_threshold(np.array([[1.0, 0], [0.6, 0.4]]), [1, 0], max_risk=0.1)
    assert threshold > 1
