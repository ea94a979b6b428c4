"""Relation extraction on the real corpora: every architecture, repeated, under the published protocol and the grouped one.

    python benchmarks/relations.py --corpus chemprot --strategy frozen --head CNN_RNN --seeds 0,1,2

A line of JSON a trial in --out; trials that are there already are not run again, so an interrupted matrix goes on.
"""

import argparse
import time
import warnings
from dataclasses import replace
from pathlib import Path

from bioutils.corpora.relations import read_relations
from bioutils.evaluation.classification import evaluate
from bioutils.result_files import Predictions, file_tag, write_results
from bioutils.training.relation_tasks import baseline_trial, make_folds, make_task
from bioutils.training.relations import FINE_TUNED, FROZEN_RELATIONS, run_trial

from common import run_trials

KEYS = ("corpus", "form", "protocol", "folds", "strategy", "head", "marking", "encoder", "epochs", "learning_rate", "max_length",
        "batch_size", "faithful", "layer", "seed")  # fmt: skip


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--corpus", required=True)
    p.add_argument("--form")
    p.add_argument("--protocol", default="published")
    p.add_argument("--folds", type=int, default=5)
    p.add_argument("--strategy", default="fine-tuned", help="fine-tuned, frozen or baseline")
    p.add_argument("--head", default="CNN_seg")
    p.add_argument("--marking", default="enclose")
    p.add_argument("--encoder", default="minilm")
    p.add_argument("--epochs", type=int)
    p.add_argument("--learning-rate", type=float)
    p.add_argument("--max-length", type=int)
    p.add_argument("--batch-size", type=int)
    p.add_argument("--layer", default="", help="of a frozen encoder; by default the head's own")
    p.add_argument("--faithful", action="store_true")
    p.add_argument("--seeds", default="0")
    p.add_argument("--out", type=Path, default=Path("outputs/benchmarks/relations"))
    return p


def main() -> None:
    run_trials(parser().parse_args(), KEYS, one, shown=("corpus", "strategy", "head", "marking", "seed"))


def one(arguments: argparse.Namespace, seed: int) -> dict:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        task = make_task(read_relations(arguments.corpus, form=arguments.form))
    folds = make_folds(task, protocol=arguments.protocol, folds=arguments.folds, seed=seed)
    base = FINE_TUNED if arguments.strategy == "fine-tuned" else FROZEN_RELATIONS
    changes = {n: getattr(arguments, n) for n in ("epochs", "learning_rate", "max_length", "batch_size")}
    settings = replace(base, seed=seed, **{name: value for name, value in changes.items() if value is not None})
    started = time.perf_counter()
    if arguments.strategy == "baseline":
        trial = baseline_trial(task, folds, seed=seed)
    else:
        layer = arguments.layer if arguments.layer.startswith("last") else int(arguments.layer or 0) or None
        trial = run_trial(
            task, folds, strategy=arguments.strategy, head=arguments.head, marking=arguments.marking,
            encoder=arguments.encoder, settings=settings, faithful=arguments.faithful, layer=layer,
            out=arguments.out / "work", cache=arguments.out / "cache", progress=False,
        )  # fmt: skip
    truth = task.labels[trial.rows]
    report = evaluate(
        truth, trial.probabilities, task.names, groups=task.groups[trial.rows], positive=task.corpus.positive
    )
    tag = file_tag(
        arguments.head,
        arguments.encoder,
        arguments.corpus,
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
    )
    where = arguments.out / f"{arguments.protocol}-{arguments.strategy}-{arguments.marking}-{seed}"
    write_results(where, tag, [Predictions(truth, trial.probabilities.argmax(1))], task.names)
    kept = (
        "accuracy",
        "accuracy_low",
        "accuracy_high",
        "macro_f1",
        "macro_f1_low",
        "macro_f1_high",
        "macro_f1_present",
        "micro_f1_positive",
    )
    dev = trial.history.groupby("epoch")["validation_accuracy"].mean().round(4).tolist() if len(trial.history) else []
    return {name: round(report.metrics[name], 4) for name in kept} | {
        "best_epochs": trial.best_epochs, "validation": dev, "seconds": round(time.perf_counter() - started, 1), **trial.facts
    }  # fmt: skip


if __name__ == "__main__":
    main()
