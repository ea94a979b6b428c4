"""Relation extraction as a task: examples with numbered labels, folds, the baseline, and what a repeat leaves behind."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bioutils.corpora.marking import around
from bioutils.corpora.relations import NEGATIVE, Example, RelationCorpus, examples
from bioutils.corpora.splits import contiguous_folds, grouped_folds, hold_out
from bioutils.errors import UsageError, expected
from bioutils.evaluation.baselines import fit_tfidf
from bioutils.evaluation.classification import ClassificationReport, evaluate
from bioutils.result_files import Predictions, write_results

if TYPE_CHECKING:
    import pandas as pd

PROTOCOLS = ("grouped", "published")
# Where a corpus annotates positive pairs alone, the types between which all others are negatives.
PAIRS = {"chemprot": [("CHEMICAL", "GENE-Y"), ("CHEMICAL", "GENE-N")]}


class Fold(NamedTuple):
    """Row numbers to train on, to choose the epoch by and to test on."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Task:
    """The examples of a corpus in order, their labels as numbers, and what they belong to."""

    corpus: RelationCorpus
    examples: list[Example]
    parts: np.ndarray  # (examples,) of names
    labels: np.ndarray  # (examples,) of numbers
    groups: np.ndarray  # (examples,) of names

    @property
    def names(self) -> list[str]:
        """The labels in the order of their numbers."""
        return list(self.corpus.labels)


@dataclass(frozen=True)
class Trial:
    """One repeat: a probability for each test row, from the fold that did not train on it, and how training went.

    ``history``: one row a fold and epoch. ``seconds``: training and, for a frozen encoder, its vectors.
    """

    seed: int
    rows: np.ndarray
    fold: np.ndarray
    probabilities: np.ndarray
    history: "pd.DataFrame"
    best_epochs: list[int]
    seconds: float
    facts: dict[str, Any]


def make_task(corpus: RelationCorpus) -> Task:
    """The annotated pairs of a corpus; where it has a label "false" and lists no such pair, all other pairs too."""
    listed = any(r.type == NEGATIVE for d in corpus.documents for r in d.relations)
    negatives = NEGATIVE in corpus.labels and not listed
    found, parts = [], []
    for part, documents in corpus.parts.items():
        here = examples(documents, negatives=negatives, types=PAIRS.get(corpus.name))
        found += here
        parts += [part] * len(here)
    if not found:
        raise UsageError(f"{corpus.name} has no relation to learn from. Fetch the whole corpus.")
    labels = np.array([corpus.labels.index(example.label) for example in found])
    return Task(corpus, found, np.array(parts), labels, np.array([example.group for example in found]))


def make_folds(task: Task, *, protocol: str = "grouped", folds: int = 5, seed: int = 0) -> list[Fold]:
    """Who trains and who tests.

    ``grouped``: ``folds`` parts of all examples, by label and abstract; 1 takes the first of five alone. ``published``: the
    corpus' own training, validation and test parts, or, where it has none, contiguous blocks in the files' order. Where
    there is no validation part a tenth of the training rows, by abstract, chooses the epoch. Raises UsageError for an unknown
    protocol and for more folds than there are documents.
    """
    if protocol not in PROTOCOLS:
        raise UsageError(expected("protocol", "a known one", protocol, available=PROTOCOLS))
    if folds < 1:
        raise UsageError(expected("folds", "1 or more", folds))
    rows = np.arange(len(task.examples))
    if protocol == "published" and "test" in task.parts:
        train, held, test = (rows[task.parts == part] for part in ("train", "validation", "test"))
        if len(held):
            return [Fold(train, held, test)]
        pairs = [(train, test)]
    elif protocol == "published":
        pairs = contiguous_folds(len(rows), n=max(2, folds))
    else:
        pairs = grouped_folds(task.labels, task.groups, n=folds if folds > 1 else 5, seed=seed)[
            : folds if folds > 1 else 1
        ]
    return [Fold(*hold_out(train, task.labels, task.groups, seed=seed), test) for train, test in pairs]


def baseline_trial(task: Task, folds: Sequence[Fold], *, model: str = "svm", seed: int = 0) -> Trial:
    """TF-IDF of the words between and around the entities, under a linear model, on the same folds."""
    import pandas as pd

    texts = [around(example) for example in task.examples]
    started, rows, which, found = time.perf_counter(), [], [], []
    for number, fold in enumerate(folds):
        train = np.concatenate([fold.train, fold.validation])  # it has no epoch to choose
        fitted = fit_tfidf([texts[i] for i in train], task.labels[train], model=model, seed=seed)
        probabilities = np.zeros((len(fold.test), len(task.names)))
        probabilities[:, fitted.classes] = fitted.predict_proba([texts[i] for i in fold.test])
        rows.append(fold.test)
        which.append(np.full(len(fold.test), number))
        found.append(probabilities)
    return Trial(
        seed, np.concatenate(rows), np.concatenate(which), np.concatenate(found), pd.DataFrame(), [],
        time.perf_counter() - started, {"model": model},
    )  # fmt: skip


def trial_report(task: Task, trial: Trial, *, seed: int = 0) -> ClassificationReport:
    """The scores of a trial on its pooled test rows, with intervals over documents."""
    return evaluate(
        task.labels[trial.rows], trial.probabilities, task.names, seed=seed, groups=task.groups[trial.rows],
        positive=task.corpus.positive,
    )  # fmt: skip


def predictions_table(task: Task, trials: Mapping[str, Sequence[Trial]]) -> "pd.DataFrame":
    """One row a method, trial and test example: ``method, seed, fold, row, id, true, predicted, confidence``."""
    import pandas as pd

    ids = np.array([example.id for example in task.examples])
    names = np.array(task.names)
    tables = [
        pd.DataFrame(
            {
                "method": method,
                "seed": trial.seed,
                "fold": trial.fold,
                "row": trial.rows,
                "id": ids[trial.rows],
                "true": names[task.labels[trial.rows]],
                "predicted": names[trial.probabilities.argmax(1)],
                "confidence": trial.probabilities.max(1),
            }
        )
        for method, repeats in trials.items()
        for trial in repeats
    ]
    return pd.concat(tables, ignore_index=True)


def write_trials(
    folder: Path | str, tag: str, task: Task, trials: Sequence[Trial], *, average: str = "macro"
) -> list[Path]:
    """The result files of a method's trials (``result_files.write_results``), each trial in the order of the examples."""
    repeats, losses = [], []
    for trial in trials:
        order = np.argsort(trial.rows, kind="stable")
        rows = trial.rows[order]
        repeats.append(Predictions(task.labels[rows], trial.probabilities.argmax(1)[order]))
        if len(trial.history):
            by_epoch = trial.history.groupby("epoch")[["train_loss", "validation_accuracy"]].mean()
            losses += [(int(epoch), *map(float, values)) for epoch, *values in by_epoch.itertuples()]
    return write_results(folder, tag, repeats, task.names, average=average, losses=losses)
