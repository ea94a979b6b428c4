"""Scores of several heads on annotated documents, over all labels and label by label."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bioutils.evaluation.annotations import (
    NOTHING,
    Counts,
    by_word,
    label_counts,
    of_labels,
    span_counts,
    word_counts,
)
from bioutils.heads.multihead import HeadSet, LinkHead
from bioutils.pair_inputs import pairs_of
from bioutils.training.multihead_tasks import MultiheadTask

if TYPE_CHECKING:
    import pandas as pd
    import torch


def scores_of(counts: Counts) -> dict[str, float]:
    """``counts.scores``; NaN, all of them, where nothing was there and nothing was found: a 0 would enter means as a failure.

    >>> scores_of(NOTHING)["f1"], scores_of(Counts(0, 1, 0, 1))["f1"]
    (nan, 0.0)
    """
    return counts.scores if any(counts) else dict.fromkeys(counts.scores, math.nan)


@dataclass
class HeadCounts:
    """What a head answered: by word (of a link head by pair), by exact span where it gives one label a unit, and each label's."""

    total: Counts = NOTHING
    spans: Counts | None = None
    labels: dict[str, Counts] = field(default_factory=dict)

    @property
    def scores(self) -> dict[str, float]:
        """``precision, recall, f1, accuracy`` and, where there are spans, ``span_f1``; NaN where nothing was asked."""
        return scores_of(self.total) | ({} if self.spans is None else {"span_f1": scores_of(self.spans)["f1"]})

    def add(self, gold: np.ndarray, found: np.ndarray, labels: Sequence[str]) -> None:
        """Adds a document's answers by word or pair: numbers of labels (0 for none), or booleans with a column a label."""
        self.total += word_counts(gold, found)
        for label, counts in zip(labels, label_counts(gold, found, len(labels)), strict=True):
            self.labels[label] = self.labels.get(label, NOTHING) + counts


def count(
    task: MultiheadTask, rows: Sequence[int], heads: HeadSet, vectors: "Sequence[torch.Tensor]"
) -> dict[str, HeadCounts]:
    """What each head finds on documents. Pairs are those of marked units, the marks being gold. A label that a head does not
    know, it never finds."""
    import torch

    heads.eval()
    device = next(heads.parameters()).device
    found = {s.name: HeadCounts(spans=NOTHING if s.kind in ("single_label", "crf") else None) for s in task.specs}
    with torch.no_grad():
        for i in rows:
            text, words = vectors[i].to(device), task.documents[i].words
            for spec in task.specs:
                head, target, labels = heads.heads[spec.name], task.targets[spec.name][i], task.labels[spec.name]
                if isinstance(head, LinkHead):
                    if len(target.units) > 1:
                        answers = head.probabilities(text[torch.as_tensor(target.units)], target) > 0.5
                        answers = _widened(answers, len(labels))
                        found[spec.name].add(pairs_of(target.joined), pairs_of(answers), labels)
                    continue
                answers = head.answers(head(text)) if len(text) else np.zeros_like(target)  # a text without a unit
                if spec.kind == "multi_label":
                    n_letters = target.shape[1] // len(labels)
                    target, answers = (
                        x.reshape(len(x), -1, n_letters).any(2) for x in (target, _widened(answers, target.shape[1]))
                    )
                    found[spec.name].add(by_word(target, words), by_word(answers, words), labels)
                    continue
                gold, named = (by_word(of_labels(a, len(labels), spec.scheme), words) for a in (target, answers))
                found[spec.name].add(gold, named, labels)
                found[spec.name].spans += span_counts(target, answers, labels, spec.scheme)
    return found


def _widened(answers: np.ndarray, n: int) -> np.ndarray:
    """Booleans with n columns in the last place: False for labels that the head does not know, which stand behind its own."""
    return np.concatenate([answers, np.zeros((*answers.shape[:-1], n - answers.shape[-1]), dtype=bool)], -1)


def mean_losses(
    task: MultiheadTask, rows: Sequence[int], heads: HeadSet, vectors: "Sequence[torch.Tensor]"
) -> dict[str, float]:
    """The loss of each head (nats) on documents, without dropout: a mean over units or pairs; NaN where there are none."""
    import torch

    heads.eval()
    device = next(heads.parameters()).device
    sizes = [len(task.documents[i].places) for i in rows]
    if not sum(sizes):
        return {spec.name: math.nan for spec in task.specs}
    with torch.no_grad():
        found = torch.cat([vectors[i] for i in rows]).to(device)
        losses = heads.loss(found, sizes, {name: [t[i] for i in rows] for name, t in task.targets.items()})
    linking = [spec.name for spec in task.specs if spec.kind == "link"]
    nothing = [name for name in linking if all(len(task.targets[name][i].units) < 2 for i in rows)]
    return {name: math.nan if name in nothing else float(loss) for name, loss in losses.items()}


def label_table(found: dict[str, HeadCounts]) -> "pd.DataFrame":
    """A row a head and label: ``head, label, precision, recall, f1, support`` (words or pairs that have it); NaN for the scores
    of a label that neither stands there nor was found."""
    import pandas as pd

    rows = [
        {"head": name, "label": label, "support": counts.right + counts.missed} | scores_of(counts)
        for name, head in found.items()
        for label, counts in head.labels.items()
    ]
    return pd.DataFrame(rows, columns=["head", "label", "precision", "recall", "f1", "support"])
