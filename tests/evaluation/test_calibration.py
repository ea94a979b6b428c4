import numpy as np
import pytest

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
