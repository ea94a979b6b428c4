"""Entity recognition on the real corpora: baselines and taggers, repeated, each scored once on the official test part.

    python benchmarks/entities.py --corpus jnlpba --head crf --seeds 0,1,2
    python benchmarks/entities.py --corpus ncbi-disease --head crf --seeds 0,1,2 --also bc5cdr-disease

A line of JSON a trial in --out; trials that are there already are not run again, so an interrupted matrix goes on.
"""

import argparse
import shutil
import time
from dataclasses import replace
from pathlib import Path

from bioutils.corpora.entities import read_entities
from bioutils.entity_exploration import entity_table, recall_by_name, seen_names
from bioutils.evaluation.spans import evaluate_spans
from bioutils.evaluation.tag_baselines import FeatureCRF, Gazetteer
from bioutils.training.tagging import TAGGING, documents_of, make_task, train_tagger

from common import run_trials

KEYS = (
    "corpus",
    "head",
    "encoder",
    "epochs",
    "learning_rate",
    "batch_size",
    "scheme",
    "dropout",
    "train",
    "dev",
    "seed",
)
KEPT = (
    "micro_precision", "micro_recall", "micro_f1", "micro_f1_low", "micro_f1_high", "macro_f1", "weighted_f1",
    "word_micro_f1",
)  # fmt: skip
BASELINES = {"gazetteer": Gazetteer, "feature-crf": FeatureCRF}


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--corpus", required=True)
    p.add_argument("--head", default="crf", help="softmax, crf, gazetteer or feature-crf (default: %(default)s)")
    p.add_argument("--encoder", default="minilm")
    p.add_argument("--epochs", type=int)
    p.add_argument("--learning-rate", type=float)
    p.add_argument("--batch-size", type=int)
    p.add_argument("--scheme", default="IOB2")
    p.add_argument("--dropout", type=float)
    p.add_argument("--train", type=int, help="training sentences, drawn; all by default")
    p.add_argument("--seeds", default="0")
    p.add_argument("--also", default="", help="further corpora of the same types to try the tagger on, by commas")
    p.add_argument("--keep", action="store_true", help="keep the trained taggers")
    p.add_argument("--dev", action="store_true", help="do not read the test part: for choosing settings")
    p.add_argument("--out", type=Path, default=Path("outputs/benchmarks/entities"))
    return p


def main() -> None:
    run_trials(parser().parse_args(), KEYS, one, shown=("corpus", "head", "seed"))


def one(arguments: argparse.Namespace, seed: int) -> dict:
    corpus = read_entities(arguments.corpus, scheme=arguments.scheme, repairs=[])
    task = make_task(corpus, n_train=arguments.train, seed=seed)
    started, history, best = time.perf_counter(), [], None
    words, tags = [s.tokens for s in task.train], [s.tags for s in task.train]
    if arguments.head in BASELINES:
        predict = BASELINES[arguments.head](words, tags).predict
    else:
        changes = {n: getattr(arguments, n) for n in ("epochs", "learning_rate", "batch_size")}
        settings = replace(TAGGING, seed=seed, **{name: value for name, value in changes.items() if value is not None})
        where = arguments.out / f"{arguments.corpus}-{arguments.head}-{seed}"
        tagger, result = train_tagger(
            task, encoder=arguments.encoder, head=arguments.head, settings=settings, dropout=arguments.dropout,
            out=where, progress=False,
        )  # fmt: skip
        if not arguments.keep:
            shutil.rmtree(where, ignore_errors=True)
        history, best = result.history["validation_micro_f1"].round(4).tolist(), result.best_epoch
        predict = tagger.tag_words
    seconds = round(time.perf_counter() - started, 1)
    scored = task.validation if arguments.dev else task.test
    found = predict([s.tokens for s in scored])
    scores = score(scored, found, arguments.scheme)
    train = entity_table(task.train, scheme=arguments.scheme)
    gold = entity_table(scored, scheme=arguments.scheme)
    recall = recall_by_name(gold, found, seen_names(train, gold), scheme=arguments.scheme)
    recall = recall[recall["type"] == "all"].set_index("names")["recall"].round(4).to_dict()
    also = {}
    for name in filter(None, arguments.also.split(",")):
        corpus = read_entities(name, scheme=arguments.scheme, repairs=[])
        if arguments.head not in BASELINES:
            tagger.check_types(corpus.types)
        other = corpus.parts["test"]
        also[name] = score(other, predict([s.tokens for s in other]), arguments.scheme)
    return {**scores, "recall_seen": recall.get("seen"), "recall_unseen": recall.get("unseen"), "also": also,
            "validation": history, "best_epoch": best, "seconds": seconds, "n_train": len(task.train)}  # fmt: skip


def score(sentences, predicted, scheme: str) -> dict[str, float]:
    report = evaluate_spans([s.tags for s in sentences], predicted, scheme=scheme, documents=documents_of(sentences))
    types = {name: value for name, value in report.metrics.items() if name.startswith("f1_")}
    return {name: round(value, 4) for name, value in ({k: report.metrics[k] for k in KEPT} | types).items()}


if __name__ == "__main__":
    main()
