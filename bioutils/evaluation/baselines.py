"""Cheap models that every transformer result stands beside."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bioutils.errors import UsageError, expected
from bioutils.evaluation.calibration import softmax

MODELS = ("svm", "logistic", "random_forest", "mlp", "majority")


@dataclass(frozen=True)
class Baseline:
    """A fitted scikit-learn pipeline over texts."""

    name: str
    pipeline: Any

    @property
    def classes(self) -> np.ndarray:
        """The labels of the columns of ``predict_proba``: those that training rows had."""
        return self.pipeline.classes_

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Probabilities (texts, classes). For the SVM a softmax of its margins: their order is true, their size is not."""
        if self.name.startswith("svm"):
            margins = self.pipeline.decision_function(texts)
            if margins.ndim == 1:  # two classes give one margin
                margins = np.stack([-margins, margins], 1)
            return softmax(margins)
        return self.pipeline.predict_proba(texts)

    def top_features(self, n: int = 10) -> dict[int, list[str]]:
        """By class, the ``n`` words or word pairs of largest weight. For linear models without LSA only."""
        linear = self.pipeline[-1]
        if not hasattr(linear, "coef_") or len(self.pipeline) > 2:
            raise UsageError(expected("baseline", "linear on TF-IDF", self.name, available=["svm", "logistic"]))
        words = self.pipeline[0].get_feature_names_out()
        weights = linear.coef_ if len(linear.coef_) > 1 else np.vstack([-linear.coef_, linear.coef_])
        return {c: words[np.argsort(-row)[:n]].tolist() for c, row in enumerate(weights)}


def fit_tfidf(
    texts: Sequence[str], labels: Sequence[int], *, model: str = "svm", lsa: int = 0, seed: int = 0
) -> Baseline:
    """TF-IDF of words and word pairs under one of ``MODELS``; ``lsa`` > 0 puts that many latent dimensions between.

    The default, a linear SVM, is the strongest of the cheap ones on short definitions. Labels that no row has get no column
    (``Baseline.classes``).
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    classifiers = {
        "svm": lambda: LinearSVC(C=1.0, random_state=seed),
        "logistic": lambda: LogisticRegression(C=10.0, max_iter=1000),  # C=1 underfits rows of twenty words
        "random_forest": lambda: RandomForestClassifier(300, n_jobs=-1, random_state=seed),
        "mlp": lambda: MLPClassifier((100,), early_stopping=True, random_state=seed),
        "majority": lambda: DummyClassifier(strategy="prior"),
    }
    if model not in classifiers:
        raise UsageError(expected("model", "a baseline", model, available=MODELS))
    if len(set(labels)) < 2 and model != "majority":
        raise UsageError("Expected labels to hold two classes or more, found one. Draw more training rows.")
    steps: list[Any] = [TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, strip_accents="unicode")]
    if lsa:
        steps.append(TruncatedSVD(lsa, random_state=seed))
    pipeline = make_pipeline(*steps, classifiers[model]())
    return Baseline(f"{model}+lsa{lsa}" if lsa else model, pipeline.fit(list(texts), list(labels)))
