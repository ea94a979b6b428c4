"""Encoders on entity and relation corpora, fine-tuned alike and repeated: fills a matrix encoder × corpus, and resumes.

    python benchmarks/downstream.py --encoders minilm,electra-tiny,random:electra-tiny --corpora ncbi-disease,bc2gm --trials 3

``random:NAME`` is that architecture untrained. Entity corpora are scored by span micro-F1, relation corpora by the micro-F1 of
the relations alone (BLURB's rule: a pair without one is no success). --together learns all corpora of a call on one encoder, a
head each, without what nearly copies a test text of another of them. A line of JSON a trial in --out, what is there stays; and
downstream.csv, all trials that are there, a row an encoder's settings on a corpus.
"""

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from bioutils.cache import digest
from bioutils.corpora import find_root
from bioutils.corpora.entities import TYPES, read_entities
from bioutils.corpora.relations import FORMS, read_relations
from bioutils.encoders import RANDOM, load_tokenizer, resolve
from bioutils.errors import BioutilsError, DataError, UsageError, expected
from bioutils.evaluation.calibration import softmax
from bioutils.evaluation.classification import evaluate
from bioutils.evaluation.spans import evaluate_spans
from bioutils.evaluation.tag_baselines import FeatureCRF
from bioutils.files import atomic_path, sha256
from bioutils.models import load_model
from bioutils.relation_inputs import relation_inputs
from bioutils.taggers import load_tagger
from bioutils.training import relation_tasks, tagging
from bioutils.training.electra.export import COLUMNS
from bioutils.training.electra.near_copies import TextIndex
from bioutils.training.judges import logits_on
from bioutils.training.relations import ARCHITECTURES, FINE_TUNED, relation_dataset, run_trial
from bioutils.training.tagging import TAGGING, documents_of, train_tagger
from bioutils.training.together import TOGETHER, relation_member, tagger_member, train_together

from common import TRIALS, read_trials, run_trials

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
    "weights",
    "together",
)
METRICS = {"entities": "micro_f1", "relations": "micro_f1_positive"}
# What may choose the epoch: scores that the judges of validation rows give.
CHOOSES = {"entities": ("micro_f1", "macro_f1", "accuracy", "loss"), "relations": ("accuracy", "macro_f1", "loss")}
HEADS = {"entities": ("softmax", "crf"), "relations": tuple(name for way, name in ARCHITECTURES if way == "fine-tuned")}
SHOWN = {"micro_f1": "span micro-F1", "micro_f1_positive": "micro-F1 of the relations"}


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument(
        "--encoders", default="minilm,electra-tiny,random:electra-tiny", help="by commas; baseline: no encoder"
    )
    p.add_argument("--corpora", default="ncbi-disease,bc2gm,gad")
    p.add_argument("--sample", action="store_true", help="the small corpora that come with the project")
    p.add_argument("--trials", type=int, default=3, help="seeds 0, 1, …; of the baseline one (default: %(default)s)")
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
    p.add_argument("--together", action="store_true", help="all the corpora on one encoder, with a head each")
    p.add_argument("--out", type=Path, default=Path("outputs/benchmarks/downstream"))
    return p


def settings_of(call: argparse.Namespace, base, seed: int):
    changes = {n: getattr(call, n) for n in ("epochs", "learning_rate", "layer_decay", "batch_size", "metric")}
    return replace(base, seed=seed, **{name: value for name, value in changes.items() if value is not None})


def kind_of(corpus: str) -> str:
    return "entities" if corpus in TYPES else "relations"


def check(call: argparse.Namespace, encoders: list[str], corpora: list[str]) -> None:
    """Raises BioutilsError for what would fail later: before the first trial, not after hours."""
    for name, value, least in (("--trials", call.trials, 1), ("--train", call.train, 2)):  # of two, one chooses
        if value is not None and value < least:
            raise UsageError(expected(name, f"{least} or more", value))
    for corpus in corpora:
        if corpus not in TYPES and corpus not in FORMS:
            raise UsageError(expected("corpus", "a known one", corpus, available=[*TYPES, *FORMS]))
        for name, known in (("metric", CHOOSES), ("head", HEADS)):
            value, right = getattr(call, name), known[kind_of(corpus)]
            if name == "metric" and call.together:
                right = [score for score in right if all(score in others for others in CHOOSES.values())]
            if value and value not in right:
                raise UsageError(expected(f"--{name}", f"one for {corpus}", value, available=right))
        settings_of(call, TAGGING if corpus in TYPES else FINE_TUNED, 0)
        find_root(corpus, sample=call.sample)
    if call.together and (len(set(corpora)) < max(2, len(corpora)) or "baseline" in encoders):
        raise UsageError(
            "--together is for two or more corpora, each once, and for encoders: a baseline has none to share."
        )
    for encoder in encoders:
        if encoder != "baseline":
            load_tokenizer(encoder)
            weights_of(encoder)


@cache
def weights_of(encoder: str) -> str | None:
    """Which weights a name stands for now (or, untrained, which architecture and vocabulary), so that a model that was made
    anew is not taken for the one before. None for the baseline, and for what lies in the hub."""
    folder = Path(resolve(encoder)) if encoder != "baseline" else None
    if folder is None or not folder.is_dir():
        return None
    patterns = (
        ("config.json", "tokenizer.json", "vocab.txt") if encoder.startswith(RANDOM) else ("*.safetensors", "*.bin")
    )
    files = sorted(path for pattern in patterns for path in folder.glob(pattern))
    if not files:
        raise UsageError(f"{folder} holds no weights. Name a folder with model.safetensors, or random:{encoder}.")
    return sha256(files[0]) if len(files) == 1 else digest([sha256(path).encode() for path in files])


def one(call: argparse.Namespace, seed: int) -> dict:
    started = time.perf_counter()
    return finished((entities if call.corpus in TYPES else relations)(call, seed), started)


def finished(scores: dict, started: float) -> dict:
    seconds = round(time.perf_counter() - started, 1)
    return {name: round(value, 4) for name, value in scores.items()} | {"seconds": seconds}


def entities(call: argparse.Namespace, seed: int) -> dict:
    task = entity_task(call, call.corpus, seed)
    if call.encoder == "baseline":
        tag = FeatureCRF([s.tokens for s in task.train], [s.tags for s in task.train]).predict
    else:
        with tempfile.TemporaryDirectory(
            prefix="work-", dir=call.out
        ) as where:  # its own: others may fill the matrix too
            tagger, _ = train_tagger(
                task, encoder=call.encoder, head=call.head or "softmax", settings=settings_of(call, TAGGING, seed),
                out=where, progress=False,
            )  # fmt: skip
        tag = tagger.tag_words
    return score_tags(task, tag)


def entity_task(call: argparse.Namespace, corpus: str, seed: int) -> tagging.TaggingTask:
    task = tagging.make_task(read_entities(corpus, sample=call.sample, repairs=[]), n_train=call.train, seed=seed)
    held = drawn(np.arange(len(task.validation)), call.train and call.train // 2, seed)
    return replace(task, validation=[task.validation[i] for i in held])


def score_tags(task: tagging.TaggingTask, tag: Callable[[list], list]) -> dict:
    words, gold = [s.tokens for s in task.test], [s.tags for s in task.test]
    metrics = evaluate_spans(gold, tag(words), documents=documents_of(task.test)).metrics
    return {name: metrics[name] for name in ("micro_f1", "micro_f1_low", "micro_f1_high", "macro_f1")}


def relations(call: argparse.Namespace, seed: int) -> dict:
    task, folds = relation_task(call, call.corpus, seed)
    if call.encoder == "baseline":
        trial = relation_tasks.baseline_trial(task, folds, seed=seed)
    else:
        with tempfile.TemporaryDirectory(prefix="work-", dir=call.out) as where:
            trial = run_trial(
                task, folds, strategy="fine-tuned", head=call.head or "MLP", marking="enclose", encoder=call.encoder,
                settings=settings_of(call, FINE_TUNED, seed), out=where, progress=False,
            )  # fmt: skip
    return score_relations(task, trial.rows, trial.probabilities)


def relation_task(call: argparse.Namespace, corpus: str, seed: int) -> tuple[relation_tasks.Task, list]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        task = relation_tasks.make_task(read_relations(corpus, sample=call.sample))
    published = "test" in task.corpus.parts
    folds = relation_tasks.make_folds(task, protocol="published" if published else "grouped", folds=5, seed=seed)
    return task, [
        fold._replace(
            train=drawn(fold.train, call.train, seed),
            validation=drawn(fold.validation, call.train and call.train // 2, seed),
        )
        for fold in folds
    ]


def score_relations(task: relation_tasks.Task, rows: np.ndarray, probabilities: np.ndarray) -> dict:
    metrics = evaluate(
        task.labels[rows], probabilities, task.names, groups=task.groups[rows], positive=task.corpus.positive
    ).metrics
    return {n: metrics[n] for n in ("micro_f1_positive", "accuracy", "accuracy_low", "accuracy_high", "macro_f1")}


def all_together(call: argparse.Namespace, seed: int) -> dict[str, dict]:
    """The scores of each of the corpora, learned on one encoder."""
    started, settings = time.perf_counter(), settings_of(call, TOGETHER, seed)
    tasks = {
        corpus: (entity_task if corpus in TYPES else relation_task)(call, corpus, seed)
        for corpus in call.together.split("+")
    }
    for corpus, task in tasks.items():
        if corpus not in TYPES and len(task[1]) > 1:
            raise UsageError(f"{corpus} has no test part of its own, to be tested on after one training. Leave it out.")
    tasks, left_out = without_copies(tasks)
    members = []
    for corpus, task in tasks.items():
        common = {"encoder": call.encoder, "settings": settings}
        if corpus in TYPES:
            members.append(tagger_member(task, head=call.head or "softmax", **common))
        else:
            members.append(relation_member(task[0], task[1][0], head=call.head or "MLP", **common))
    found = {}
    with tempfile.TemporaryDirectory(prefix="work-", dir=call.out) as where:
        for corpus, result in train_together(
            members, encoder=call.encoder, out=where, settings=settings, progress=False
        ).items():
            if corpus in TYPES:
                found[corpus] = score_tags(tasks[corpus], load_tagger(result.model_dir).tag_words)
                continue
            (task, (fold,)), loaded = tasks[corpus], load_model(result.model_dir)
            inputs = relation_inputs(task.examples, loaded.tokenizer, marking="enclose", max_length=settings.max_length)
            logits = logits_on(loaded.model, loaded.tokenizer, relation_dataset(task, inputs).select(fold.test))
            found[corpus] = score_relations(task, fold.test, softmax(logits))
    return {corpus: {"left_out": left_out[corpus]} | finished(scores, started) for corpus, scores in found.items()}


def without_copies(tasks: dict[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
    """The tasks without what, to learn from or to choose by, nearly copies a test text of another; and how many that were."""
    tests = {
        corpus: [" ".join(s.tokens) for s in task.test]
        if corpus in TYPES
        else [task[0].examples[i].text for i in task[1][0].test]
        for corpus, task in tasks.items()
    }
    found, left_out = {}, {}
    for corpus, task in tasks.items():
        index = TextIndex(text for other, texts in tests.items() if other != corpus for text in texts)
        if corpus in TYPES:
            before = [task.train, task.validation]
            copied = [index.copied([" ".join(s.tokens) for s in part]) for part in before]
            after = [[s for s, c in zip(*pair, strict=True) if not c] for pair in zip(before, copied, strict=True)]
            found[corpus] = replace(task, train=after[0], validation=after[1])
        else:
            whole, (fold,) = task
            before = [fold.train, fold.validation]
            copied = [index.copied([whole.examples[i].text for i in rows]) for rows in before]
            after = [rows[~np.array(c, dtype=bool)] for rows, c in zip(before, copied, strict=True)]
            found[corpus] = whole, [fold._replace(train=after[0], validation=after[1])]
        left_out[corpus] = sum(map(sum, copied))
    return found, left_out


def drawn(rows: np.ndarray, n: int | None, seed: int) -> np.ndarray:
    """``n`` of the rows in their order, all where ``n`` is None or more than there are."""
    return rows if n is None or n >= len(rows) else np.sort(np.random.default_rng(seed).permutation(rows)[:n])


def summary(record: Path) -> pd.DataFrame:
    """A row a corpus, encoder and settings: over the seeds mean, lowest and highest, and the settings, empty where not given.

    ``chosen_by`` is the score that chose the epoch. A seed that was run twice counts once. Lines of before a setting was kept
    have none.
    """
    groups: dict[tuple, dict[int, float]] = {}
    for number, row in enumerate(read_trials(record), 1):
        metric = METRICS[kind_of(row.get("corpus"))]
        if missing := [name for name in ("corpus", "encoder", "seed", metric) if name not in row]:
            raise DataError(f"No trial of this benchmark: no {missing[0]}.", path=record, line=number)
        groups.setdefault(tuple(row.get(name) for name in NAMES), {})[row["seed"]] = row[metric]
    found = []
    for key, by_seed in groups.items():
        cell, values = dict(zip(NAMES, key, strict=True)), list(by_seed.values())
        metric, scores = METRICS[kind_of(cell["corpus"])], (statistics.mean(values), min(values), max(values))
        row = dict(zip(COLUMNS, (cell["corpus"], SHOWN[metric], cell["encoder"], len(values), *scores), strict=True))
        others = ("corpus", "encoder", "metric", "train", "together")
        settings = {name: cell[name] for name in NAMES if name not in others}
        more = {"chosen_by": cell["metric"], "together": cell["together"]}
        found.append(row | {"train": cell["train"]} | settings | more)
    return pd.DataFrame(found).round({"mean": 4}).astype(dict.fromkeys(("train", "epochs", "batch_size"), "Int64"))


def run(call: argparse.Namespace) -> None:
    encoders, corpora = ([name.strip() for name in names.split(",")] for names in (call.encoders, call.corpora))
    check(call, encoders, corpora)
    together, trained = "+".join(sorted(corpora)) if call.together else None, {}

    def trial(cell: argparse.Namespace, seed: int) -> dict:
        if not cell.together:
            return one(cell, seed)
        if (cell.encoder, seed) not in trained:  # one training gives the scores of all its corpora
            trained[cell.encoder, seed] = all_together(cell, seed)
        return trained[cell.encoder, seed][cell.corpus]

    for corpus in corpora:
        for encoder in encoders:
            trials = 1 if encoder == "baseline" else call.trials
            more = {"corpus": corpus, "encoder": encoder, "weights": weights_of(encoder), "together": together}
            cell = SimpleNamespace(**vars(call) | more | {"seeds": ",".join(map(str, range(trials)))})
            run_trials(cell, NAMES, trial, shown=("corpus", "encoder", "seed"))
    cells = summary(call.out / TRIALS)
    with atomic_path(call.out / "downstream.csv") as path:
        cells.to_csv(path, index=False)
    print(cells.dropna(axis=1, how="all").drop(columns="weights", errors="ignore").to_string(index=False))


def main() -> int:
    try:
        run(parser().parse_args())
    except BioutilsError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
