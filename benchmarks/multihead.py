"""Tags and links of the functional genomics abstracts by folds: heads on one encoder, each fold scored once at its chosen epoch.

    python benchmarks/multihead.py --part tags --epochs 8 --folds-run 0,1,2,3
    python benchmarks/multihead.py --part links

Tags: all marked abstracts of scheme 2, a head for the categories and one for the values of each. Links: the linked abstracts
alone (where nobody linked, "not linked" would be wrong), on gold tags; by pair of units, by pair of tags and by whole statement
(``given_tags``). A line of JSON a fold in --out: folds that are there
already are not run again. The summary of what is there is printed at the end.
"""

import argparse
import json
import time
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pandas as pd

from bioutils.corpora.conversion import read_part
from bioutils.heads.multihead import HeadSpec
from bioutils.training.multihead import FINE_TUNED, FROZEN, frozen_vectors
from bioutils.training.multihead_baselines import baseline_folds
from bioutils.training.multihead_folds import as_annotator, link_scores, make_folds, mean_course, run_folds
from bioutils.training.multihead_tasks import make_task

from common import run_trials

MARKED = (
    "mae-xml.tar.gz/raw_data/V2 Marked Entities No Linking",
    "mae-xml.tar.gz/raw_data/V2 Marked and Linked Entities",
)
CATEGORIES = "CONTEXT", "EFFECT", "PERTURBING_ACTION", "PHENOTYPE"
KEYS = (
    "part",
    "way",
    "encoder",
    "epochs",
    "learning_rate",
    "balance",
    "kind",
    "scheme",
    "inputs",
    "batch_size",
    "patience",
    "fixed",
    "average",
    "freeze",
    "folds",
    "validation",
    "seed",
)
BASELINES = "gazetteer", "feature-crf"


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--part", choices=("tags", "links"), default="tags")
    p.add_argument(
        "--way", choices=("fine-tuned", "frozen", *BASELINES), default="fine-tuned", help="(default: %(default)s)"
    )
    p.add_argument("--encoder", default="minilm")
    p.add_argument("--epochs", type=int)
    p.add_argument("--learning-rate", type=float)
    p.add_argument("--balance", type=float, default=0.5, help="of the labels (default: %(default)s)")
    p.add_argument("--kind", default="single_label", help="of the tag heads (default: %(default)s)")
    p.add_argument("--scheme", default="none", help="of the tag heads (default: %(default)s)")
    p.add_argument("--batch-size", type=int)
    p.add_argument("--patience", type=int)
    p.add_argument(
        "--inputs", choices=("text", "marks", "both"), default="both", help="of the link head (default: %(default)s)"
    )
    p.add_argument(
        "--fixed", action="store_true", help="the last of --epochs counts, and the validation abstracts train too"
    )
    p.add_argument("--average", type=float, help="moving average of the weights, 0.998 for some thousand steps")
    p.add_argument("--freeze", type=int, help="lowest parts of the encoder that stay as they are; 1: the embeddings")
    p.add_argument("--folds", type=int, default=4)
    p.add_argument(
        "--validation", type=float, default=0.1, help="share of the training abstracts that chooses the epoch"
    )
    p.add_argument("--folds-run", dest="seeds", default="0,1,2,3", help="which folds (default: %(default)s)")
    p.add_argument("--out", type=Path, default=Path("outputs/benchmarks/multihead"))
    return p


@lru_cache(maxsize=1)
def prepared(part: str, kind: str, scheme: str, inputs: str, reader: str):
    """The task, and its units' vectors by the encoder ``reader`` where that stays frozen."""
    documents = [d for source in MARKED for d in read_part(source) if part == "tags" or d.links]
    layers = {"category": "category"} | {name.lower(): name for name in CATEGORIES}
    heads = [HeadSpec(name=n, kind=kind, layer=layer, scheme=scheme) for n, layer in layers.items()]
    if part == "links":
        told = {"marks": inputs != "text", "text": inputs != "marks"}
        heads = [HeadSpec(name="link", kind="link", layer="link_only", hidden=64, **told)]
    task = make_task(documents, heads)
    return task, frozen_vectors(task, encoder=reader) if reader else None


def one(call: argparse.Namespace, seed: int) -> dict:
    """Fold number ``seed``."""
    started = time.perf_counter()
    task, vectors = prepared(
        call.part, call.kind, call.scheme, call.inputs, call.encoder if call.way == "frozen" else ""
    )
    fold = make_folds(task, folds=call.folds, validation=call.validation)[seed]
    n = {"train": len(fold.train), "validation": len(fold.validation), "test": len(fold.test)}
    if call.way in BASELINES:
        found = baseline_folds(task, [fold], tagger=call.way).drop(columns="fold")
        more = {}
    else:
        frozen = call.way == "frozen"
        changes = {name: getattr(call, name) for name in ("epochs", "learning_rate", "batch_size", "patience")}
        settings = replace(
            FROZEN if frozen else FINE_TUNED, seed=seed, **{k: v for k, v in changes.items() if v is not None}
        )
        whole: dict[str, dict] = {}

        def whole_links(fold, done):
            linker = as_annotator(task, done, encoder=call.encoder, max_length=settings.max_length)
            if linker.link_head():
                whole.update(link_scores([task.documents[i].document for i in fold.test], linker))

        result = run_folds(
            task, [fold], encoder=call.encoder, frozen=frozen, settings=settings, balance=call.balance, progress=False,
            vectors=vectors, choose=not call.fixed, average=call.average or 0.0, freeze=call.freeze or 0, after=whole_links,
        )  # fmt: skip
        found = result.scores.drop(columns=["fold", "part", "epoch", "train_loss", "loss"])
        more = {
            "best_epoch": result.epochs[0],
            "history": json.loads(result.history.drop(columns="fold").round(4).to_json(orient="records")),
            "labels": json.loads(result.labels.drop(columns=["fold", "part"]).round(4).to_json(orient="records")),
            "unseen": result.unseen,
            "given_tags": {name: {k: round(v, 4) for k, v in numbers.items()} for name, numbers in whole.items()},
        }
    heads = json.loads(found.round(4).set_index("head").to_json(orient="index"))
    return {"documents": n, "heads": heads, "seconds": round(time.perf_counter() - started, 1)} | more


def summary(path: Path) -> pd.DataFrame:
    """A row a way and head: F1's mean and standard deviation over the folds, each fold's own, and seconds of all folds.

    ``peeked``: what the best epoch of the test parts, one for all folds and heads, would have shown.
    """
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(name) for name in KEYS if name != "seed"), []).append(row)
    lines = []
    for key, folds in groups.items():
        way = dict(zip(KEYS, key, strict=False))
        f1 = pd.DataFrame([{head: s["f1"] for head, s in row["heads"].items()} for row in folds])
        f1["mean"] = f1.mean(axis=1)
        n_heads = f1.shape[1] - 1
        for name in ("pairs_given_tags", "links_given_tags"):
            if all(name in row.get("given_tags", {}) for row in folds):
                f1[name] = [row["given_tags"][name]["f1"] for row in folds]
        peeked = _peeked(folds)
        for head in f1 if n_heads > 1 else f1.drop(columns="mean"):
            lines.append(
                {"part": way["part"], "way": way["way"], "encoder": way["encoder"], "kind": way["kind"], "head": head}
                | {"folds": len(f1), "f1": f1[head].mean(), "std": f1[head].std(), "low": f1[head].min()}
                | {"high": f1[head].max(), "peeked": peeked.get(head), "seconds": sum(row["seconds"] for row in folds)}
            )
    return pd.DataFrame(lines)


def _peeked(folds: list[dict]) -> dict[str, float]:
    courses = [pd.DataFrame(row["history"]).assign(fold=row["seed"]) for row in folds if "history" in row]
    if not courses:
        return {}
    mean = mean_course(pd.concat(courses), "test")
    best = mean.loc[mean.mean(axis=1).idxmax()]
    return best.to_dict() | {"mean": best.mean()}


def main() -> None:
    call = parser().parse_args()
    run_trials(call, KEYS, one, shown=("part", "way", "seed"))
    with pd.option_context("display.width", 200, "display.max_columns", 20):
        print(summary(call.out / "trials.jsonl").round(4).to_string(index=False))


if __name__ == "__main__":
    main()
