import numpy as np
import pytest

from bioutils.errors import UsageError
from bioutils.evaluation.baselines import MODELS, fit_tfidf

TEXTS = [
    f"{kind} number {i}" for i in range(12) for kind in ("growth of cells", "membrane of lipids", "binding of zinc")
]
LABELS = [0, 1, 2] * 12


@pytest.mark.parametrize("model", [m for m in MODELS if m not in ("majority", "mlp")])
def test_each_learns_what_a_word_tells(model):
    found = fit_tfidf(TEXTS, LABELS, model=model).predict_proba(
        ["zinc binding", "cells in growth", "a lipids membrane"]
    )
    assert found.argmax(1).tolist() == [2, 0, 1]
    assert np.allclose(found.sum(1), 1)


def test_mlp_and_latent_dimensions_give_probabilities():
    for options in ({"model": "mlp"}, {"model": "logistic", "lsa": 3}):
        assert np.allclose(fit_tfidf(TEXTS, LABELS, **options).predict_proba(["zinc"]).sum(1), 1)


def test_majority_is_the_share_of_the_training_rows():
    found = fit_tfidf(["one", "two", "three", "four"], [0, 0, 0, 1], model="majority").predict_proba(["anything"])
    assert found.tolist() == [[0.75, 0.25]]


def test_two_classes_and_top_features():
    baseline = fit_tfidf(TEXTS[:2] * 4, [0, 1] * 4)
    assert baseline.predict_proba(["membrane"]).argmax() == 1
    assert "growth" in baseline.top_features(6)[0]
    assert "membrane" in baseline.top_features(6)[1]


def test_wrong_calls():
    with pytest.raises(UsageError, match="'boosting'"):
        fit_tfidf(TEXTS, LABELS, model="boosting")
    with pytest.raises(UsageError, match="two classes"):
        fit_tfidf(TEXTS, [0] * len(TEXTS))
    with pytest.raises(UsageError, match="linear"):
        fit_tfidf(TEXTS, LABELS, model="random_forest").top_features()
