"""From one relation corpus to another: train on the source first, or on both at once. Usually it does not help; see notebook 09.

The earlier experiments kept two output layers, chosen by each batch's corpus. Here the two label sets stand side by side in one
output layer, and at test time only the target's are asked: the same encoder and head learn both corpora, and nothing has to
know which batch is whose.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bioutils.corpora.relations import RelationCorpus
from bioutils.errors import UsageError, expected
from bioutils.models import OWN_ENCODER
from bioutils.training.arguments import TrainingSettings
from bioutils.training.relation_tasks import Fold, Task, Trial, make_folds
from bioutils.training.relations import FINE_TUNED, run_trial

WAYS = ("sequential", "mixed")


def transfer_trial(
    source: Task,
    target: Task,
    folds: Sequence[Fold],
    *,
    way: str,
    head: str,
    marking: str,
    encoder: str,
    settings: TrainingSettings | None = None,
    out: Path | str,
    progress: bool = True,
) -> Trial:
    """A fine-tuned trial on the target's folds that has seen all of the source. Compare with ``run_trial`` on the target.

    ``sequential``: the encoder is fine-tuned on the source under a head of its own, then on the target under a new one.
    ``mixed``: each fold trains on its rows and on the source's together. Raises UsageError for another way.
    """
    settings, out = settings or FINE_TUNED, Path(out)
    common = {"strategy": "fine-tuned", "head": head, "marking": marking, "settings": settings, "progress": progress}
    if way == "sequential":
        first = make_folds(source, protocol="grouped", folds=1, seed=settings.seed)
        run_trial(source, first, encoder=encoder, out=out / "source", keep_model=True, **common)
        trained = out / "source" / "fold-0" / "model" / OWN_ENCODER
        return run_trial(target, folds, encoder=str(trained), out=out / "target", **common)
    if way == "mixed":
        both = side_by_side(source, target)
        n = len(source.examples)
        shifted = [Fold(np.concatenate([np.arange(n), f.train + n]), f.validation + n, f.test + n) for f in folds]
        trial = run_trial(both, shifted, encoder=encoder, out=out / "mixed", **common)
        asked = trial.probabilities[:, len(source.names) :]
        asked = asked / asked.sum(1, keepdims=True)
        return replace(trial, rows=trial.rows - n, probabilities=asked)
    raise UsageError(expected("way", "a known one", way, available=WAYS))


def side_by_side(source: Task, target: Task) -> Task:
    """The examples of both, the source's first, under the labels of both, each named with its corpus."""
    names = tuple(f"{task.corpus.name}: {name}" for task in (source, target) for name in task.names)
    corpus = RelationCorpus(f"{source.corpus.name}+{target.corpus.name}", "both", {}, names)
    return Task(
        corpus,
        source.examples + target.examples,
        np.concatenate([source.parts, target.parts]),
        np.concatenate([source.labels, target.labels + len(source.names)]),
        np.concatenate([np.char.add(f"{t.corpus.name}/", t.groups.astype(str)) for t in (source, target)]),
    )
