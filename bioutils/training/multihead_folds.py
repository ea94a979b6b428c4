"""Several heads judged by folds over abstracts: each fold's own scores, the epoch chosen without its test part."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bioutils.annotation_inputs import mark
from bioutils.annotators import Annotator, annotate, attributes_in, link_tags, roles_in
from bioutils.corpora.records import Document
from bioutils.corpora.splits import grouped_folds, hold_out
from bioutils.device import choose_device
from bioutils.encoders import load_encoder, load_tokenizer
from bioutils.errors import UsageError, expected
from bioutils.evaluation.annotations import NOTHING, Counts, gold_entities, joint_counts
from bioutils.files import atomic_path
from bioutils.pair_inputs import Pairs, pairs_of
from bioutils.run_records import HISTORY, LABELS
from bioutils.training.arguments import TrainingSettings
from bioutils.training.multihead import FINE_TUNED, FROZEN, Trained, frozen_vectors, train
from bioutils.training.multihead_tasks import MultiheadTask, outputs

if TYPE_CHECKING:
    import pandas as pd
    import torch


TABLE = "folds.csv"  # a run's scores, a row a fold and head
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Fold:
    """Numbers of the documents that train, that choose the epoch, and that are tested."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class FoldResult:
    """``scores``: a row a fold and head at the chosen epoch, on the fold's test part, NaN where that asks the head nothing;
    ``labels``: the same label by label; ``history``: a row a fold, epoch, part ("validation", "test") and head; ``epochs``: the
    chosen one of each fold; ``unseen``: labels that a fold tests and had none of to learn from, counted."""

    scores: "pd.DataFrame"
    labels: "pd.DataFrame"
    history: "pd.DataFrame"
    epochs: tuple[int, ...]
    unseen: dict[str, int]
    seconds: float

    @property
    def not_asked(self) -> dict[str, int]:
        """Heads that the test part of some fold asks nothing (no label or pair there, none found): in how many folds."""
        missing = self.scores["f1"].isna().groupby(self.scores["head"], sort=False).sum()
        return {str(head): int(n) for head, n in missing.items() if n}

    def table(self) -> "pd.DataFrame":
        """A row a head: mean and standard deviation of F1 over the folds that asked it, and what the best epoch *of the test
        parts* would have shown (``peeked``): one epoch for all folds and heads, as the earlier system reported."""
        found = self.scores.groupby("head", sort=False)["f1"].agg(["mean", "std"])
        course = mean_course(self.history, "test")
        found["peeked"] = course.loc[course.mean(axis=1).idxmax()]
        found.loc["mean"] = [
            found["mean"].mean(),
            self.scores.groupby("fold")["f1"].mean().std(),
            found["peeked"].mean(),
        ]
        return found

    def write(self, folder: Path) -> None:
        """The three tables into a folder, as CSV: ``folds.csv`` (the scores), ``labels.csv`` and ``history.csv``."""
        for name, table in ((TABLE, self.scores), (LABELS, self.labels), (HISTORY, self.history)):
            with atomic_path(folder / name) as path:
                table.to_csv(path, index=False)


def mean_course(history: "pd.DataFrame", part: str, column: str = "f1") -> "pd.DataFrame":
    """A column's mean over the folds, a row an epoch that no fold stopped before, a column a head; NaN is left out of a mean."""
    there = history[history["part"] == part]
    reached = there.groupby("fold")["epoch"].max().min()
    table = there[there["epoch"] <= reached].pivot(index="epoch", columns=["head", "fold"], values=column)
    return table.T.groupby(level="head", sort=False).mean().T


def fold_ranges(scores: "pd.DataFrame") -> dict[str, float]:
    """F1 over the folds of each head: its mean under the head's name, lowest and highest under ``head_low`` and ``head_high``, as
    ``plots.interval_bars`` takes them. ``scores``: a row a fold and head."""
    by_head = scores.groupby("head", sort=False)["f1"]
    ends = {"": by_head.mean(), "_low": by_head.min(), "_high": by_head.max()}
    return {f"{head}{end}": float(value) for end, values in ends.items() for head, value in values.items()}


def make_folds(task: MultiheadTask, *, folds: int = 4, validation: float = 0.1, seed: int = 0) -> list[Fold]:
    """Folds by abstract, alike in how many documents have links; a share of each training part chooses the epoch.

    All heads of a task stand on the same folds, so that no abstract is tested by one head and has trained another.
    Raises UsageError for fewer than three abstracts, fewer than two folds, more than there are abstracts, and so few of either
    that a fold has no two abstracts left to learn from and to choose by.
    """
    groups, linked = task.groups, _linked(task)
    n = len(set(groups))
    if n < 3:
        raise UsageError(
            expected("folds", "of 3 abstracts or more: to train on, to choose the epoch by, to test on", n)
        )
    if not 2 <= folds <= n:
        raise UsageError(expected("folds", f"2 to {n}, the abstracts there are", folds))
    found = []
    for rest, test in grouped_folds(linked, groups, n=folds, seed=seed):
        if len(set(groups[rest])) < 2:
            what = f"enough to leave 2 of the {n} abstracts to train on and to choose the epoch by"
            raise UsageError(expected("folds", what, folds, remedy=f"Give {n} folds, or more abstracts."))
        rows, held = hold_out(rest, linked, groups, share=validation, seed=seed)
        found.append(Fold(rows, held, test))
    return found


def without_test(task: MultiheadTask, *, validation: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """All documents in two, as in a fold that tests nothing: those that train and the share that chooses the epoch.

    Raises UsageError for fewer than two abstracts.
    """
    if (n := len(set(task.groups))) < 2:
        raise UsageError(expected("documents", "of 2 abstracts or more: to train on and to choose the epoch by", n))
    return hold_out(np.arange(len(task.documents)), _linked(task), task.groups, share=validation, seed=seed)


def _linked(task: MultiheadTask) -> np.ndarray:
    return np.array([bool(m.document.links) for m in task.documents]).astype(int)


def run_folds(
    task: MultiheadTask, folds: Sequence[Fold], *, encoder: str, frozen: bool = True,
    settings: TrainingSettings | None = None, balance: float = 0.5, dropout: float = 0.1, progress: bool = True,
    vectors: "Sequence[torch.Tensor] | None" = None, choose: bool = True, average: float = 0.0, freeze: int = 0,
    after: Callable[[Fold, Trained], Any] | None = None,
) -> FoldResult:  # fmt: skip
    """Trains on each fold from the start and scores it; test parts are scored every epoch for the curves, and choose nothing.

    ``choose=False``: no epoch is chosen, the last of the fixed number counts, and the validation abstracts are trained on too
    (their scores in the history are then those of known texts). ``average`` and ``freeze`` as
    ``train`` takes them. ``after`` is called with each fold and what was trained on it.
    """
    import pandas as pd
    from tqdm import tqdm

    settings = settings or (FROZEN if frozen else FINE_TUNED)
    started = time.perf_counter()
    if frozen and vectors is None:
        vectors = frozen_vectors(task, encoder=encoder, max_length=settings.max_length)
    scores, labels, history, epochs = [], [], [], []
    for number, fold in enumerate(tqdm(folds, unit=" folds", disable=None if progress else True)):
        own = replace(settings, seed=settings.seed + number)
        known = fold.train if choose else np.concatenate([fold.train, fold.validation])
        done = train(
            task, known, fold.validation, encoder=encoder, frozen=frozen, settings=own, last=not choose,
            balance=balance, dropout=dropout, vectors=vectors, also={"test": fold.test}, average=average, freeze=freeze,
        )  # fmt: skip
        history.append(done.history.assign(fold=number))
        chosen = (done.history["part"] == "test") & (done.history["epoch"] == done.best_epoch)
        scores.append(done.history[chosen].assign(fold=number))
        labels.append(done.labels[done.labels["part"] == "test"].assign(fold=number))
        epochs.append(done.best_epoch)
        if after is not None:
            after(fold, done)
    return FoldResult(
        *(pd.concat(found, ignore_index=True) for found in (scores, labels, history)), tuple(epochs),
        unseen_labels(task, folds, choose=choose), time.perf_counter() - started,
    )  # fmt: skip


def unseen_labels(task: MultiheadTask, folds: Sequence[Fold], *, choose: bool = True) -> dict[str, int]:
    """Labels, as "head: label", that stand in a fold's test part and in nothing that it learns from: in how many folds.

    ``choose=False``: the validation part is learned from too.
    """
    found: dict[str, int] = {}
    for spec in task.specs:
        labels = task.labels[spec.name]
        for fold in folds:
            known = fold.train if choose else np.concatenate([fold.train, fold.validation])
            there, tested = (_labels(task, spec.name, rows) for rows in (known, fold.test))
            for label in sorted(tested - there):
                name = f"{spec.name}: {labels[label]}"
                found[name] = found.get(name, 0) + 1
    return found


def _labels(task: MultiheadTask, name: str, rows: Sequence[int]) -> set[int]:
    found: set[int] = set()
    n_letters = len(outputs(task)[name]) // len(task.labels[name])
    for i in rows:
        target = task.targets[name][i]
        if isinstance(target, Pairs):
            found |= set(np.flatnonzero(pairs_of(target.joined).any(0)).tolist())
            continue
        marked = np.flatnonzero(target.any(0)) if target.ndim == 2 else np.unique(target[target > 0]) - 1
        found |= {int(k) // n_letters for k in marked}
    return found


def final_epochs(result: FoldResult) -> int:
    """How long to train on all data: the median of the folds' chosen epochs."""
    return int(np.median(result.epochs))


def as_annotator(task: MultiheadTask, done: Trained, *, encoder: str, max_length: int) -> Annotator:
    """The trained heads with the encoder they stand on, ready to annotate.

    The threshold of links is the best one (``link_threshold``) of the abstracts of ``task`` that were trained on.
    """
    documents = [m.document for m in task.documents]
    body = load_encoder(encoder).to(choose_device()) if done.encoder is None else done.encoder
    found = Annotator(
        done.heads, body, load_tokenizer(encoder), task.labels, roles_in(documents), attributes_in(documents), max_length,
        done.groups,
    )  # fmt: skip
    groups = set(done.groups)
    known = [d for d, group in zip(documents, task.groups, strict=True) if d.links and group in groups]
    return replace(found, threshold=link_threshold(known, found)) if known and found.link_head() else found


def link_threshold(known: Sequence[Document], linker: Annotator) -> float:
    """Above which mean probability tags are best joined: of THRESHOLDS the one with the highest F1 of whole links on the tags of
    documents that the model may know; of equals the one nearest to a half."""
    vectors = linker.vectors([mark(d) for d in known])

    def f1(threshold: float) -> float:
        found = link_tags(known, linker, threshold=threshold, vectors=vectors)
        return _joint(known, found, linker.attributes)["links"]["f1"]

    return max(THRESHOLDS, key=lambda threshold: (f1(threshold), -abs(threshold - 0.5)))


def joint_scores(
    gold: Sequence[Document], tagger: Annotator, linker: Annotator | None = None, *, threshold: float | None = None
) -> tuple[dict[str, dict[str, float]], list[Document]]:
    """Scores of the whole way from text to links, and the documents as annotated: ``entities`` (borders, category and value
    right), ``pairs`` (both ends right and joined), ``links`` (every end right): a link counts only when its ends do. Where there
    are links to find, beside them what ``link_scores`` says."""
    found = annotate(gold, tagger, linker, threshold=threshold)
    scores = _joint(gold, found, tagger.attributes)
    if (linker or tagger).link_head() is not None:
        scores |= link_scores(gold, linker or tagger, threshold=threshold)
    return scores, found


def link_scores(
    gold: Sequence[Document], linker: Annotator, *, threshold: float | None = None
) -> dict[str, dict[str, float]]:
    """``pairs_given_tags`` and ``links_given_tags``: as ``joint_scores``, the tags being those of the annotation."""
    scores = _joint(gold, link_tags(gold, linker, threshold=threshold), linker.attributes)
    return {f"{name}_given_tags": scores[name] for name in ("pairs", "links") if name in scores}


def _joint(
    gold: Sequence[Document], found: Sequence[Document], attributes: Mapping[str, str]
) -> dict[str, dict[str, float]]:
    totals: dict[str, Counts] = {}
    for there, here in zip(gold, found, strict=True):
        counts = joint_counts(gold_entities(mark(there), attributes), gold_entities(mark(here), attributes))
        totals = {name: totals.get(name, NOTHING) + count for name, count in counts.items()}
    return {name: count.scores for name, count in totals.items()}
