"""One training run from a YAML file: what ``python -m bioutils.training.trainer --config FILE`` does."""

import argparse
import sys
from pathlib import Path

import numpy as np

from bioutils.corpora import load
from bioutils.errors import BioutilsError, UsageError, expected
from bioutils.evaluation.baselines import fit_tfidf
from bioutils.evaluation.calibration import softmax
from bioutils.evaluation.classification import evaluate
from bioutils.files import write_json
from bioutils.models import SIDECAR
from bioutils.training.arguments import read_config, settings_from
from bioutils.training.trainer import train_classifier

EXAMPLE = """example of FILE (every key but `out` has a default; the rest are the fields of TrainingSettings):
  out: outputs/my-run
  corpus: go
  sample: true          # the corpus that comes with the project; false: $BIOUTILS_DATA or data/raw
  split: random         # or grouped
  train_size: 2000      # 0 = all
  eval_size: 1000
  encoder: minilm
  epochs: 4
  learning_rate: 1.0e-4
  seed: 42
"""

DEFAULTS = {
    "out": "",
    "corpus": "go",
    "data_root": None,
    "sample": False,
    "split": "random",
    "train_size": 0,
    "eval_size": 0,
    "encoder": "minilm",
}


def run(config: dict, *, resume: bool = False) -> dict[str, float]:
    """Trains, evaluates on the test split beside the baseline, writes ``metrics.json`` and ``config.json`` under ``out``."""
    from bioutils.encoders import load_classifier, load_tokenizer
    from bioutils.inference import predict_logits

    settings, rest = settings_from(config)
    if unknown := sorted(set(rest) - set(DEFAULTS)):
        known = sorted({*DEFAULTS, *settings.__dataclass_fields__})
        raise UsageError(expected("option", "a known one", unknown[0], available=known))
    options = DEFAULTS | rest
    if not options["out"]:
        raise UsageError(
            "Expected out to be a folder for the run, found nothing. Add `out: outputs/my-run` to the file."
        )
    out = Path(options["out"])
    dataset = load(
        options["corpus"],
        **{key: options[key] for key in ("data_root", "sample", "split", "train_size", "eval_size")},
        seed=settings.seed,
    )
    result = train_classifier(dataset, encoder=options["encoder"], settings=settings, out=out, resume=resume)
    model, tokenizer = load_classifier(str(result.model_dir)), load_tokenizer(str(result.model_dir))
    names, truth = dataset["test"].features["label"].names, np.asarray(dataset["test"]["label"][:])
    texts = dataset["test"]["text"][:]
    logits = predict_logits(model, tokenizer, texts, max_length=settings.max_length).logits
    report = evaluate(truth, softmax(logits, result.temperature), names, seed=settings.seed)
    baseline = fit_tfidf(dataset["train"]["text"][:], dataset["train"]["label"][:], seed=settings.seed)
    beside = evaluate(truth, baseline.predict_proba(texts), names, seed=settings.seed)
    metrics = report.metrics | {f"baseline_{k}": v for k, v in beside.metrics.items()} | {"seconds": result.seconds}
    write_json(out / "config.json", options | settings.__dict__)
    write_json(out / "metrics.json", metrics)
    print(
        f"{options['encoder']}, epoch {result.best_epoch}:\n{report}\n\nTF-IDF + linear SVM on the same split:\n{beside}"
    )
    print(f"\nModel and notes ({SIDECAR}): {result.model_dir}")
    return metrics


def main(arguments: list[str] | None = None) -> int:
    """The command's exit code: 0 done, 1 the work failed, 2 the call is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m bioutils.training.trainer",
        description="Fine-tune an encoder on a corpus, with the HF Trainer, from a YAML file.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="the run's options, YAML or JSON")
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint under `out`")
    call = parser.parse_args(arguments)
    try:
        run(read_config(call.config), resume=call.resume)
    except BioutilsError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0
