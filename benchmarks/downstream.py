"""Encoders on entity and relation corpora, fine-tuned alike and repeated: fills a matrix encoder × corpus, and resumes.

    python benchmarks/downstream.py --encoders minilm,electra-tiny,random:electra-tiny --corpora ncbi-disease,bc2gm --trials 3

``random:NAME`` is that architecture untrained. Entity corpora are scored by span micro-F1, relation corpora by the micro-F1 of
the relations alone (BLURB's rule: a pair without one is no success). A line of JSON a trial in --out, what is there stays; and
downstream.csv, the matrix of the trials with the settings of the call.
"""

import argparse
import json
import shutil
import statistics
import time
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from bioutils.corpora.entities import TYPES, read_entities
from bioutils.corpora.relations import FORMS, read_relations
from bioutils.errors import UsageError, expected
from bioutils.evaluation.classification import evaluate
from bioutils.evaluation.spans import evaluate_spans
from bioutils.evaluation.tag_baselines import FeatureCRF
from bioutils.training import relation_tasks, tagging
from bioutils.training.electra.export import COLUMNS
from bioutils.training.relations import FINE_TUNED, run_trial
from bioutils.training.tagging import TAGGING, documents_of, train_tagger

from common import run_trials

NAMES = (
    "corpus",
    "encoder",
    "sample",
    "head",
    "epochs",
    "learning_rate",
    "layer_decay",
    "batch_size",
    "metric",
    "train",
)
METRICS = {"entities": "micro_f1", "relations": "micro_f1_positive"}
SHOWN = {"micro_f1": "span micro-F1", "micro_f1_positive": "micro-F1 of the relations"}


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument(
        "--encoders", default="minilm,electra-tiny,random:electra-tiny", help="by commas; baseline: no encoder"
    )
    p.add_argument("--corpora", default="ncbi-disease,bc2gm,gad")
    p.add_argument("--sample", action="store_true", help="the small corpora that come with the project")
    p.add_argument("--trials", type=int, default=3, help="seeds 0, 1, … (default: %(default)s)")
    p.add_argument(
        "--head", default="", help="softmax or crf, and MLP, CNN, CNN_seg or entities; by default softmax and MLP"
    )
    p.add_argument("--epochs", type=int)
    p.add_argument("--learning-rate", type=float)
    p.add_argument("--layer-decay", type=float, help="of the rate from layer to layer, 0.8 for a small ELECTRA")
    p.add_argument("--batch-size", type=int)
    p.add_argument(
        "--metric", help="chooses the epoch, on validation rows: micro_f1, macro_f1, accuracy, or loss (the lowest)"
    )
    p.add_argument(
        "--train", type=int, help="training sentences or pairs, drawn, and half as many to choose by; all by default"
    )
    p.add_argument("--out", type=Path, default=Path("outputs/benchmarks/downstream"))
    return p


def settings_of(call: argparse.Namespace, base, seed: int):
    changes = {n: getattr(call, n) for n in ("epochs", "learning_rate", "layer_decay", "batch_size", "metric")}
    return replace(base, seed=seed, **{name: value for name, value in changes.items() if value is not None})


def one(call: argparse.Namespace, seed: int) -> dict:
    started = time.perf_counter()
    if call.corpus in TYPES:
        found = entities(call, seed)
    elif call.corpus in FORMS:
        found = relations(call, seed)
    else:
        raise UsageError(expected("corpus", "a known one", call.corpus, available=[*TYPES, *FORMS]))
    return {name: round(value, 4) for name, value in found.items()} | {
        "seconds": round(time.perf_counter() - started, 1)
    }


def entities(call: argparse.Namespace, seed: int) -> dict:
    task = tagging.make_task(read_entities(call.corpus, sample=call.sample, repairs=[]), n_train=call.train, seed=seed)
    held = drawn(np.arange(len(task.validation)), call.train and call.train // 2, seed)
    task = replace(task, validation=[task.validation[i] for i in held])
    if call.encoder == "baseline":
        tag = FeatureCRF([s.tokens for s in task.train], [s.tags for s in task.train]).predict
    else:
        where = call.out / "work"
        tagger, _ = train_tagger(
            task, encoder=call.encoder, head=call.head or "softmax", settings=settings_of(call, TAGGING, seed), out=where,
            progress=False,
        )  # fmt: skip
        tag = tagger.tag_words
        shutil.rmtree(where, ignore_errors=True)
    words, gold = [s.tokens for s in task.test], [s.tags for s in task.test]
    metrics = evaluate_spans(gold, tag(words), documents=documents_of(task.test)).metrics
    return {name: metrics[name] for name in ("micro_f1", "micro_f1_low", "micro_f1_high", "macro_f1")}


def relations(call: argparse.Namespace, seed: int) -> dict:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        task = relation_tasks.make_task(read_relations(call.corpus, sample=call.sample))
    published = "test" in task.corpus.parts
    folds = relation_tasks.make_folds(task, protocol="published" if published else "grouped", folds=5, seed=seed)
    folds = [
        fold._replace(
            train=drawn(fold.train, call.train, seed),
            validation=drawn(fold.validation, call.train and call.train // 2, seed),
        )
        for fold in folds
    ]
    if call.encoder == "baseline":
        trial = relation_tasks.baseline_trial(task, folds, seed=seed)
    else:
        trial = run_trial(
            task, folds, strategy="fine-tuned", head=call.head or "MLP", marking="enclose", encoder=call.encoder,
            settings=settings_of(call, FINE_TUNED, seed), out=call.out / "work", progress=False,
        )  # fmt: skip
    metrics = evaluate(
        task.labels[trial.rows], trial.probabilities, task.names, groups=task.groups[trial.rows],
        positive=task.corpus.positive,
    ).metrics  # fmt: skip
    return {n: metrics[n] for n in ("micro_f1_positive", "accuracy", "accuracy_low", "accuracy_high", "macro_f1")}


def drawn(rows: np.ndarray, n: int | None, seed: int) -> np.ndarray:
    """``n`` of the rows in their order, all where ``n`` is None or more than there are."""
    return rows if n is None or n >= len(rows) else np.sort(np.random.default_rng(seed).permutation(rows)[:n])


def summary(call: argparse.Namespace, encoders: list[str], corpora: list[str]) -> pd.DataFrame:
    """A row a cell of the matrix that has trials with these settings: mean, lowest and highest over the trials."""
    trials = [json.loads(line) for line in (call.out / "trials.jsonl").read_text().splitlines()]
    asked = {name: getattr(call, name) for name in NAMES if name not in ("corpus", "encoder")}
    found = []
    for corpus in corpora:
        metric = METRICS["entities" if corpus in TYPES else "relations"]
        for encoder in encoders:
            cell = asked | {"corpus": corpus, "encoder": encoder}
            values = [row[metric] for row in trials if all(row.get(name) == value for name, value in cell.items())]
            if values:
                mean = round(statistics.mean(values), 4)
                found.append((corpus, SHOWN[metric], encoder, len(values), mean, min(values), max(values)))
    return pd.DataFrame(found, columns=COLUMNS)


def main() -> None:
    call = parser().parse_args()
    encoders, corpora = call.encoders.split(","), call.corpora.split(",")
    for corpus in corpora:
        for encoder in encoders:
            trials = 1 if encoder == "baseline" else call.trials
            seeds = ",".join(map(str, range(trials)))
            cell = SimpleNamespace(**vars(call) | {"corpus": corpus, "encoder": encoder, "seeds": seeds})
            run_trials(cell, NAMES, one, shown=("corpus", "encoder", "seed"))
    cells = summary(call, encoders, corpora)
    cells.to_csv(call.out / "downstream.csv", index=False)
    print(cells.pivot(index=["corpus", "metric"], columns="encoder", values="mean").to_string())


if __name__ == "__main__":
    main()
