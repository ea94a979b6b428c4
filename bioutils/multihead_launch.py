"""Several heads trained, tested, put to work or compared from YAML files: ``python -m bioutils.training.multihead CONFIG…``."""

import argparse
import json
import shutil
import sys
import time
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from bioutils.annotation_inputs import CATEGORY
from bioutils.annotators import Annotator, annotate, annotator_facts, linked_alone, load_annotator, save_annotator
from bioutils.corpora.conversion import write
from bioutils.corpora.pubmed import as_document, numbered, read_abstracts
from bioutils.errors import BioutilsError, UsageError, expected
from bioutils.files import atomic_path, check_folder, check_unharmed, write_json
from bioutils.link_page import link_page
from bioutils.models import SIDECAR
from bioutils.run_analysis import analyse
from bioutils.run_records import HISTORY, LABELS, RECORDS, add_record, read_records
from bioutils.runs import environment
from bioutils.training.multihead import frozen_vectors, train
from bioutils.training.multihead_config import EXAMPLE, HTML, IGNORED, MODES, Config, read_multihead_config
from bioutils.training.multihead_data import check_new, data_sha256, documents_of
from bioutils.training.multihead_folds import (
    TABLE,
    as_annotator,
    final_epochs,
    joint_scores,
    link_scores,
    make_folds,
    run_folds,
    without_test,
)
from bioutils.training.multihead_scores import count
from bioutils.training.multihead_tasks import make_task
from bioutils.training.results import save_whole

HERE = Path("outputs") / RECORDS
SUFFIXES = ".yaml", ".yml", ".json"  # of configurations, in a folder
SCORES, TESTED = "scores.json", "test.json"  # what training and testing leave in the run's folder, beside TABLE


def earlier_run(out: Path, *, overwrite: bool) -> list[Path]:
    """What a run left in a folder; other files there are nobody's business. Raises UsageError where it may not be replaced."""
    found = [out / name for name in (SCORES, TABLE, LABELS, HISTORY, TESTED, "model") if (out / name).exists()]
    if found and not overwrite:
        raise UsageError(f"{found[0]} exists. Give --overwrite to replace the run in {out}, or choose another out.")
    check_folder(out / "model", mark=SIDECAR, holds="a model", overwrite=True)
    return found


def run_train(config: Config, *, records: Path = HERE, overwrite: bool = False) -> dict[str, Any]:
    """Folds, then a model on all documents, as the configuration says; returns and records the scores.

    An earlier run in ``out`` is replaced only with ``overwrite``, and then whole: none of its files stays beside the new ones.
    """
    if config.data is None or config.model is None:
        raise UsageError("To train, the file needs data and model.")
    model, folds, settings, out = config.model, config.folds, config.training, Path(config.out)
    earlier = earlier_run(out, overwrite=overwrite)
    documents = documents_of(config.data)
    task = make_task(documents, tuple(model.heads.values()))
    started = time.perf_counter()
    options = {"encoder": model.encoder, "frozen": model.frozen, "dropout": model.dropout}
    options |= {"balance": folds.balance, "average": folds.average, "freeze": folds.freeze}
    vectors = frozen_vectors(task, encoder=model.encoder, max_length=settings.max_length) if model.frozen else None
    facts: dict[str, Any] = {"documents": len(task.documents), "not_asked_for_links": task.not_asked}
    facts |= {"data_sha256": data_sha256(documents), "env": environment()}
    if task.not_asked:
        print(
            f"{task.not_asked} of {len(task.documents)} documents have no link: no head that learns links is asked about them"
        )
    scores: dict[str, Any] = {}
    parts = (
        make_folds(task, folds=folds.folds, validation=folds.validation, seed=settings.seed)
        if folds.folds
        else [without_test(task, validation=folds.validation, seed=settings.seed)]
    )
    for path in earlier:  # now that nothing is left to be refused
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if folds.folds:
        result = run_folds(task, parts, settings=settings, vectors=vectors, **options)
        result.write(out)
        print(result.table().round(4).to_string())
        for label, n in result.unseen.items():
            print(f"{label}: in the test part of {n} fold{'s' if n > 1 else ''}, in its training part nowhere")
        for head, n in result.not_asked.items():
            print(
                f"{head}: asked nothing by the test part of {n} fold{'s' if n > 1 else ''}, which its mean leaves out"
            )
        scores = json.loads(result.table().to_json(orient="index"))
        facts |= {"epochs": list(result.epochs), "unseen": result.unseen, "not_asked_in_folds": result.not_asked}
        settings = replace(settings, epochs=final_epochs(result), patience=0)
    if folds.final:
        known, held = [np.arange(len(task.documents))] * 2 if folds.folds else parts[0]
        done = train(task, known, held, settings=settings, vectors=vectors, last=bool(folds.folds), **options)
        annotator = as_annotator(task, done, encoder=model.encoder, max_length=settings.max_length)
        notes = (
            annotator_facts(annotator, encoder=model.encoder) | {"config": as_dict(config), "scores": scores} | facts
        )
        save_whole(out / "model", notes, save_annotator(annotator, trained_encoder=not model.frozen))
        print(out / "model")
    facts["seconds"] = round(time.perf_counter() - started, 1)
    write_json(out / SCORES, {"config": as_dict(config), "scores": scores} | facts)
    add_record(records, name=out.name, folder=out, parameters=as_dict(config), scores=scores, **facts)
    return {"scores": scores} | facts


def as_dict(config: Config) -> dict[str, Any]:
    """The configuration as it can be written down, under the keys of the file."""
    found = {key: value for key, value in asdict(config).items() if value is not None}
    training = {key: value for key, value in (found["training"] | found.pop("folds")).items() if key not in IGNORED}
    return found | {"training": training}


def run_test(config: Config) -> dict[str, Any]:
    """The saved model on other annotated documents: each head, and tags and links together."""
    if config.test is None:
        raise UsageError("To test, the file needs test.")
    annotator, linker, documents = (
        load_annotator(Path(config.out) / "model"),
        _linker(config),
        documents_of(config.test),
    )
    for name, model in (("the model", annotator), ("deploy.linker", linker)):
        if model is not None and not config.test.known:
            check_new(documents, model, name)
    specs = [head.spec for head in annotator.heads.heads.values()]
    task = make_task(documents, specs, labels=annotator.labels)
    vectors = annotator.vectors(task.documents)
    counts = count(task, range(len(task.documents)), annotator.heads, vectors)
    found: dict[str, Any] = {"heads": {name: head.scores for name, head in counts.items()}}
    found["unknown"] = {}
    for name, head in counts.items():
        for label in task.labels[name][len(annotator.labels[name]) :]:
            found["unknown"][f"{name}: {label}"] = n = head.labels[label].missed if label in head.labels else 0
            what = "pairs" if annotator.heads.heads[name].spec.kind == "link" else "words"
            print(f"{name}: missed {n} {what} of {label!r}, a label that the model does not know")
    gold = [m.document for m in task.documents]
    if annotator.head("category"):
        found["joint"] = joint_scores(gold, annotator, linker)[0]
    elif annotator.link_head():
        found["joint"] = link_scores(gold, annotator)
    write_json(Path(config.out) / TESTED, _finite(found))
    for part in [part for part in ("heads", "joint") if part in found]:
        for name, numbers in found[part].items():
            print(f"{part:6} {name:20} " + "  ".join(f"{k} {v:.3f}" for k, v in numbers.items()))
    return found


def _finite(found: Mapping[str, Any]) -> dict[str, Any]:
    """The same with None for what is no number: a head that was asked nothing has no score."""
    return {k: _finite(v) if isinstance(v, Mapping) else None if v != v else v for k, v in found.items()}


def _linker(config: Config) -> Annotator | None:
    if not (config.deploy and config.deploy.linker):
        return None
    folder = Path(config.deploy.linker)
    return load_annotator(folder / "model" if (folder / "model").is_dir() else folder)


def run_deploy(config: Config, *, overwrite: bool = False) -> Path:
    """Texts in, annotated documents out, in the format of ``deploy.out``."""
    if config.deploy is None:
        raise UsageError("To deploy, the file needs deploy.")
    call, out = config.deploy, Path(config.deploy.out)
    check_unharmed([out], map(Path, call.inputs), overwrite=overwrite)
    seen: Counter[str] = Counter()
    texts = [as_document(numbered(a, seen)) for path in call.inputs for a in read_abstracts(Path(path))]
    annotator = load_annotator(Path(config.out) / "model")
    known = annotator.labels.get(annotator.head(CATEGORY) or "", call.linked)
    if unknown := [name for name in call.linked if name not in known]:
        raise UsageError(expected("deploy.linked", "categories of the model", unknown[0], available=known))
    found = annotate(texts, annotator, _linker(config), threshold=call.threshold)
    if call.linked:
        found = linked_alone(found, call.linked)
    if call.kind == HTML:
        with atomic_path(out) as path:
            path.write_text(link_page(found), encoding="utf-8")
    else:
        lost: Counter[str] = write(found, out, kind=call.kind, task=call.task, overwrite=overwrite)
        for what, n in lost.items():
            print(f"{n:>6,} {what}: no place in {call.kind}")
    n_tags, n_links = sum(len(d.spans) for d in found), sum(len(d.links) for d in found)
    print(f"{len(found):,} of {len(texts):,} texts, {n_tags:,} tags, {n_links:,} links → {out}")
    return out


def run_analyse(config: Config) -> Path:
    """The recorded runs compared, into the file's ``out``; the report is printed too."""
    if config.analyse is None:
        raise UsageError("To analyse, the file needs analyse.")
    call = config.analyse
    records = read_records(call.records or HERE, names=call.runs)
    report = analyse(records, config.out, by=call.by, heads=call.heads, metric=call.metric, combine=call.combine)
    print(report.read_text(encoding="utf-8"))
    print(report)
    return report


def config_files(paths: Sequence[Path]) -> list[Path]:
    """The files named, and of the folders named those that end as configurations do, by name. Raises UsageError for none."""
    found: list[Path] = []
    for path in paths:
        there = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and p.is_file()) if path.is_dir() else [path]
        if not there:
            raise UsageError(expected(f"folder {path}", f"one with configurations ({', '.join(SUFFIXES)})", "none"))
        found += [p for p in there if p not in found]
    return found


def run_file(path: Path, mode: str, *, overwrite: bool, taken: dict[Path, Path]) -> None:
    """Does what the file says. ``taken``: folders that files of the same call have trained into, which is added to."""
    config = read_multihead_config(path)
    if mode == "train":
        if (other := taken.setdefault(Path(config.out).resolve(), path)) != path:
            raise UsageError(f"{path}: out is that of {other}, whose run would be replaced. Give each file its own.")
        run_train(config, overwrite=overwrite)
    elif mode == "test":
        run_test(config)
    elif mode == "analyse":
        run_analyse(config)
    else:
        run_deploy(config, overwrite=overwrite)


def main(arguments: list[str] | None = None) -> int:
    """The command's exit code: 0 done, 1 the work failed, 2 the call is wrong; of several files 1 where any failed."""
    parser = argparse.ArgumentParser(
        prog="python -m bioutils.training.multihead", description="Several heads on one encoder, from YAML files.",
        epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "config", type=Path, metavar="CONFIG", nargs="+", help="YAML or JSON, or a folder of them: each in turn"
    )
    parser.add_argument("--mode", choices=MODES, default="train", help="(default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace what was trained or deployed before")
    call = parser.parse_args(arguments)
    try:
        files = config_files(call.config)
        taken: dict[Path, Path] = {}
        if len(files) == 1:
            run_file(files[0], call.mode, overwrite=call.overwrite, taken=taken)
            return 0
    except BioutilsError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    failed = []
    for number, path in enumerate(files, 1):
        print(f"[{number}/{len(files)}] {path}", flush=True)
        try:
            run_file(path, call.mode, overwrite=call.overwrite, taken=taken)
        except BioutilsError as error:
            failed.append(path)
            print(error, file=sys.stderr)
        except Exception:  # a defect of ours: told in full, but the other files are none the worse for it
            failed.append(path)
            traceback.print_exc()
    print(f"{len(files) - len(failed)} of {len(files)} done" + "".join(f"\nfailed: {path}" for path in failed))
    return 1 if failed else 0
