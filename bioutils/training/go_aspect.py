"""The classifier of GO aspects that comes with the project: adapters on the offline encoder, and its card.

``python -m bioutils.training.go_aspect`` trains it on the whole ontology of the corpus folder and writes
``data/models/go-aspect/``; ``bioutils score`` uses that where no model is named.
"""

import argparse
import datetime
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from bioutils.corpora import load
from bioutils.encoders import own_models
from bioutils.errors import BioutilsError
from bioutils.evaluation.baselines import fit_tfidf
from bioutils.evaluation.calibration import expected_calibration_error, softmax
from bioutils.evaluation.classification import evaluate
from bioutils.files import atomic_writer, read_json, write_json
from bioutils.inference import predict_logits
from bioutils.models import SIDECAR, load_model
from bioutils.pages import render
from bioutils.training.arguments import TrainingSettings
from bioutils.training.loop import train_natively

# Adapters bear a higher rate than whole encoders; two passes more than that gain nothing on twenty thousand rows.
SETTINGS = TrainingSettings(epochs=4, learning_rate=5e-4, batch_size=32, max_length=128, seed=42)
RANK = 8
SPLIT = "grouped"  # near copies on one side: the score is a promise for texts that nobody has copied from the ontology
COMMAND = "python -m bioutils.training.go_aspect"


def make(
    out: Path,
    *,
    work: Path,
    data_root: str | None = None,
    sample: bool = False,
    encoder: str = "minilm",
    settings: TrainingSettings = SETTINGS,
) -> dict[str, Any]:
    """Trains, tests and writes the model and its card into ``out``; returns the notes in its ``bioutils.json``.

    ``work`` keeps the checkpoints: a second call goes on from the last. The test split is scored once, at the end.
    """
    dataset = load("go", data_root=data_root, sample=sample, split=SPLIT, seed=settings.seed)
    resume = (work / "checkpoints").is_dir()
    result = train_natively(dataset, encoder=encoder, settings=settings, out=work, lora_rank=RANK, resume=resume)
    facts = {
        "split": {"kind": SPLIT, "seed": settings.seed, **{part: len(rows) for part, rows in dataset.items()}},
        "best_epoch": result.best_epoch,
        "seconds": round(result.seconds),
        "machine": f"{platform.machine()}, {_threads()} threads",
        "date": datetime.date.today().isoformat(),
        "command": COMMAND,
        "scores": held_back_scores(result.model_dir, dataset, seed=settings.seed),
    }
    notes = read_json(result.model_dir / SIDECAR) | facts
    write_json(result.model_dir / SIDECAR, notes)
    with atomic_writer(result.model_dir / "README.md") as stream:
        stream.write(card(notes))
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(result.model_dir, out)
    return notes


def held_back_scores(folder: Path, dataset: Any, *, seed: int) -> dict[str, Any]:
    """Scores on the test split of the model in ``folder`` and of the TF-IDF baseline on the same rows."""
    model, tokenizer, labels, notes = load_model(folder)
    texts, truth = dataset["test"]["text"][:], np.asarray(dataset["test"]["label"][:])
    logits = predict_logits(model, tokenizer, texts, max_length=notes["max_length"]).logits
    scaled = softmax(logits, notes["temperature"])
    baseline = fit_tfidf(dataset["train"]["text"][:], dataset["train"]["label"][:], seed=seed).predict_proba(texts)
    scores = {}
    for name, probabilities in (("model", scaled), ("baseline", baseline)):
        report = evaluate(truth, probabilities, labels, seed=seed)
        kept = {k: round(v, 4) for k, v in report.metrics.items() if k.startswith(("accuracy", "macro_f1", "f1_"))}
        scores[name] = kept
    right, other = scaled.argmax(1) == truth, baseline.argmax(1) == truth
    scores["model"]["n"] = len(truth)
    scores["model"]["calibration_error_unscaled"] = round(expected_calibration_error(softmax(logits), truth), 4)
    scores["model"]["calibration_error"] = round(expected_calibration_error(scaled, truth), 4)
    scores["model_alone_right"] = int((right & ~other).sum())
    scores["baseline_alone_right"] = int((other & ~right).sum())
    return scores


def card(notes: dict[str, Any]) -> str:
    """The model's card, in Markdown, from its notes."""
    return render("go_aspect.md.j2", **notes)


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def main(arguments: list[str] | None = None) -> int:
    """The command's exit code: 0 done, 1 the work failed, 2 the call is wrong."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=own_models() / "go-aspect", help="the model's folder")
    parser.add_argument("--work", type=Path, default=Path("outputs/go-aspect"), help="checkpoints, while it trains")
    parser.add_argument("--data-root", help="folder with the corpus (default: BIOUTILS_DATA, then data/raw)")
    parser.add_argument("--sample", action="store_true", help="the small corpus that comes with the project, to try it")
    call = parser.parse_args(arguments)
    try:
        notes = make(call.out, work=call.work, data_root=call.data_root, sample=call.sample)
    except BioutilsError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(card(notes))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
