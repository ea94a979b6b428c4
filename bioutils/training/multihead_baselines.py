"""What several heads must beat: names known from training for tags, a shared sentence for links."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bioutils.annotation_inputs import runs
from bioutils.corpora.tags import from_spans, to_spans
from bioutils.errors import UsageError, expected
from bioutils.evaluation.annotations import NOTHING, by_word, of_labels, span_counts, word_counts
from bioutils.evaluation.tag_baselines import FeatureCRF, Gazetteer, TagBaseline
from bioutils.pair_inputs import BETWEEN, pairs_of
from bioutils.training.multihead_folds import Fold
from bioutils.training.multihead_scores import scores_of
from bioutils.training.multihead_tasks import MultiheadTask

if TYPE_CHECKING:
    import pandas as pd

TOGETHER = [BETWEEN.index(where) for where in ("in one sentence", "in one tag")]
TAGGERS = {"gazetteer": Gazetteer, "feature-crf": FeatureCRF}


def baseline_folds(task: MultiheadTask, folds: Sequence[Fold], *, tagger: str = "gazetteer") -> "pd.DataFrame":
    """A row a fold and head, but for those of many labels: ``fold, head, precision, recall, f1, accuracy, span_f1`` on the fold's
    test part, by the measures of the heads; NaN where the test part asks a head nothing.

    Tags: ``tagger`` fitted on the training part, validation abstracts included, as it has no epoch to choose. Links: two marked
    units are joined where one sentence holds both. Raises UsageError for another tagger.
    """
    import pandas as pd

    if tagger not in TAGGERS:
        raise UsageError(expected("tagger", "a known baseline", tagger, available=TAGGERS))
    rows = []
    for number, fold in enumerate(folds):
        known = np.concatenate([fold.train, fold.validation])
        for spec in task.specs:
            if spec.kind == "multi_label":
                continue
            total = NOTHING
            if spec.kind == "link":
                for i in fold.test:
                    pairs = task.targets[spec.name][i]
                    joined, there = pairs.joined, np.isin(pairs.between, TOGETHER)
                    answers = np.repeat(there[:, :, None], joined.shape[2], axis=2)
                    total += word_counts(pairs_of(joined), pairs_of(answers))
                rows.append({"fold": number, "head": spec.name} | scores_of(total))
                continue
            spans = NOTHING
            model = _fitted(task, spec.name, known, tagger)
            labels = task.labels[spec.name]
            for i, found in zip(fold.test, model.predict([task.documents[i].units for i in fold.test]), strict=True):
                gold = of_labels(task.targets[spec.name][i], len(labels), spec.scheme)
                answers = _answers(found, labels)
                words = task.documents[i].words
                total += word_counts(by_word(gold, words), by_word(answers, words))
                spans += span_counts(gold, answers, labels)
            rows.append({"fold": number, "head": spec.name} | scores_of(total) | {"span_f1": scores_of(spans)["f1"]})
    return pd.DataFrame(rows)


def _fitted(task: MultiheadTask, head: str, rows: Sequence[int], tagger: str) -> TagBaseline:
    labels, spec = task.labels[head], next(s for s in task.specs if s.name == head)
    units = [task.documents[i].units for i in rows]
    tags = []
    for i, words in zip(rows, units, strict=True):
        answers = of_labels(task.targets[head][i], len(labels), spec.scheme)
        tags.append(from_spans(runs(answers, labels), len(words)))
    return TAGGERS[tagger](units, tags)


def _answers(tags: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    found, number = np.zeros(len(tags), dtype=int), {label: i for i, label in enumerate(labels, 1)}
    for span in to_spans(tags):
        found[span.start : span.end] = number[span.type]
    return found
