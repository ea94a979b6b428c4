import itertools

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from bioutils.errors import UsageError
from bioutils.evaluation.classification import bootstrap_interval, evaluate, micro_f1
from bioutils.evaluation.statistics import (
    approximate_randomisation,
    difference_of_means,
    majority,
    mcnemar,
    summary,
    summary_table,
)


def test_summary_by_hand():
    found = summary([0.70, 0.72, 0.77])
    assert found["mean"] == pytest.approx(0.73)
    assert found["std"] == pytest.approx(np.sqrt((0.03**2 + 0.01**2 + 0.04**2) / 2))
    assert (found["n"], found["min"], found["max"]) == (3, 0.70, 0.77)
    half = 4.302653 * found["std"] / np.sqrt(3)  # t(0.975, 2), from a table
    assert (found["low"], found["high"]) == (pytest.approx(0.73 - half), pytest.approx(0.73 + half))
    one = summary([0.5])
    assert np.isnan(one["std"])
    assert np.isnan(one["low"])
    with pytest.raises(UsageError, match="one or more"):
        summary([])
    table = summary_table({"a": np.array([[1.0, 0.5], [0.0, 0.5]])}, ["x", "y"])
    assert table[["group", "score", "mean"]].to_numpy().tolist() == [["a", "x", 0.5], ["a", "y", 0.5]]


def test_difference_of_means():
    found = difference_of_means([0.8, 0.9], [0.5, 0.6, 0.7])
    assert found["difference"] == pytest.approx(0.25)
    assert found["cliff_delta"] == 1
    assert found["low"] < 0.25 < found["high"]
    assert found["cohen_d"] == pytest.approx(0.25 / np.sqrt((0.005 + 2 * 0.01) / 3))
    assert difference_of_means([1.0], [0.0])["cliff_delta"] == 1
    assert np.isnan(difference_of_means([1.0], [0.0])["low"])
    assert difference_of_means([0.5, 0.5], [0.5])["cliff_delta"] == 0


SCORES = {"accuracy": accuracy_score, "macro_f1": lambda t, p: f1_score(t, p, average="macro", labels=[0, 1, 2])}


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
@pytest.mark.parametrize("groups", [None, [0, 0, 1, 1, 1, 2, 2, 3, 4, 5]])
def test_the_randomisation_test_is_near_the_exact_one(metric, groups):
    truth = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
    first, second = np.array([0, 1, 2, 0, 1, 2, 0, 0, 0, 0]), np.array([0, 1, 1, 1, 2, 0, 0, 1, 2, 2])
    found = approximate_randomisation(truth, first, second, metric=metric, groups=groups, n_random=20_000)
    score = SCORES[metric]
    assert found.first == pytest.approx(score(truth, first))
    assert found.difference == pytest.approx(score(truth, first) - score(truth, second))
    which = np.arange(10) if groups is None else np.array(groups)
    extreme = []
    for coins in itertools.product([False, True], repeat=which.max() + 1):  # every exchange there is
        swap = np.array(coins)[which]
        one, other = np.where(swap, second, first), np.where(swap, first, second)
        extreme.append(abs(score(truth, one) - score(truth, other)) >= abs(found.difference) - 1e-12)
    assert found.p_value == pytest.approx(np.mean(extreme), abs=0.015)


def test_the_randomisation_test_holds_its_level_and_has_power():
    rng, rejected = np.random.default_rng(0), 0
    for _ in range(200):
        truth = rng.integers(0, 3, 80)
        noisy = [np.where(rng.random(80) < 0.3, rng.integers(0, 3, 80), truth) for _ in range(2)]
        rejected += approximate_randomisation(truth, *noisy, metric="accuracy", n_random=200).p_value <= 0.05
    assert rejected <= 20  # one in twenty would be 10
    better = np.where(rng.random(80) < 0.05, 0, truth)
    worse = rng.integers(0, 3, 80)
    assert approximate_randomisation(truth, better, worse, n_random=500).p_value < 0.01
    same = approximate_randomisation(truth, worse, worse, n_random=100)
    assert (same.p_value, same.n_differ) == (1.0, 0)


def test_mcnemar_by_hand():
    truth = [0] * 12
    found = mcnemar(truth, [0] * 9 + [1] * 3, [1] * 8 + [0] * 2 + [1, 1])
    assert (found["only_first"], found["only_second"]) == (8, 1)
    assert found["p_value"] == pytest.approx(2 * (1 + 9) / 2**9)
    assert found["odds_ratio"] == pytest.approx(8.5 / 1.5)
    assert mcnemar(truth, truth, truth)["p_value"] == 1


def test_majority_and_wrong_calls():
    assert majority([np.array([0, 2, 1]), np.array([1, 2, 0]), np.array([1, 0, 1])]).tolist() == [1, 2, 1]
    assert majority([np.array([1]), np.array([0])]).tolist() == [0]
    with pytest.raises(UsageError, match="of one length"):
        approximate_randomisation([0], [0, 1], [0])
    with pytest.raises(UsageError, match="Expected metric to be a known one"):
        approximate_randomisation([0], [0], [0], metric="auc")


def test_micro_f1_of_positive_classes_is_scikit_learns():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    probabilities = np.eye(4)[predicted]
    report = evaluate(truth, probabilities, ["false", "a", "b", "c"], positive=["a", "b", "c"], n_bootstrap=100)
    wanted = f1_score(truth, predicted, labels=[1, 2, 3], average="micro")
    assert report.metrics["micro_f1_positive"] == pytest.approx(wanted)
    assert report.metrics["micro_f1_positive_low"] < wanted < report.metrics["micro_f1_positive_high"]
    assert micro_f1(report.confusion, range(4)) == pytest.approx(report.metrics["accuracy"])


def test_intervals_over_documents_are_wider_where_documents_hang_together():
    rng = np.random.default_rng(0)
    right = np.repeat(rng.random(30) < 0.7, 20)  # thirty documents of twenty rows, each wholly right or wrong
    truth = np.zeros(600, dtype=int)
    probabilities = np.eye(2)[np.where(right, 0, 1)]
    groups = np.repeat(np.arange(30), 20)
    rows, documents = (
        evaluate(truth, probabilities, ["a", "b"], groups=g, n_bootstrap=2000).interval("accuracy")
        for g in (None, groups)
    )
    assert documents[1] - documents[0] > 3 * (rows[1] - rows[0])
    alone = evaluate(truth, probabilities, ["a", "b"], groups=np.arange(600), n_bootstrap=4000).interval("accuracy")
    assert alone == pytest.approx(rows, abs=0.01)


def test_macro_f1_over_the_classes_that_occur():
    report = evaluate([0, 0, 1], np.eye(3)[[0, 0, 1]], ["a", "b", "c"], n_bootstrap=10)
    assert report.metrics["macro_f1"] == pytest.approx(2 / 3)
    assert report.metrics["macro_f1_present"] == 1
    assert set(bootstrap_interval(report.confusion, n_bootstrap=10)) == {"accuracy", "macro_f1"}
