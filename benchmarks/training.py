"""Fine-tuning: dynamic padding, batches of 32 by length, bfloat16 where it pays, against padding to 100, 8 at a time, fp32.

Both go through the HF Trainer with the same encoder and texts. Samples a second are those of the last epoch, steps and
batches alone: evaluation and checkpoints, which only ours does, are outside the clock. With --accuracy both train to the
end and are scored on the same test rows.
"""

import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from transformers import TrainerCallback

from bioutils.corpora import load
from bioutils.encoders import load_classifier, load_tokenizer
from bioutils.errors import BioutilsError
from bioutils.evaluation.calibration import softmax
from bioutils.evaluation.classification import evaluate
from bioutils.inference import predict_logits
from bioutils.training.arguments import TrainingSettings
from bioutils.training.trainer import train_classifier

from common import arguments, machine


def go(train_size: int, eval_size: int, seed: int):
    """The real ontology where it is at hand, else the sample."""
    try:
        return load("go", train_size=train_size, eval_size=eval_size, seed=seed)
    except BioutilsError:
        return load("go", sample=True, seed=seed)


class EpochClock(TrainerCallback):
    """The seconds of each epoch from its first batch to its last step."""

    def __init__(self):
        self.seconds: list[float] = []

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.start = time.perf_counter()

    def on_epoch_end(self, args, state, control, **kwargs):
        self.seconds.append(time.perf_counter() - self.start)


def plain(dataset, settings: TrainingSettings, out: str):
    """The earlier system's way: every text padded to 100 tokens, batches of 8 at 5e-5, 3 epochs, float32, fused attention."""
    from transformers import AutoModelForSequenceClassification, Trainer, TrainingArguments, set_seed

    from bioutils.encoders import resolve

    set_seed(settings.seed)
    tokenizer = load_tokenizer("minilm")
    names = dataset["train"].features["label"].names
    model = AutoModelForSequenceClassification.from_pretrained(resolve("minilm"), num_labels=len(names))
    rows = dataset["train"].map(
        lambda r: tokenizer(r["text"], padding="max_length", truncation=True, max_length=100), batched=True
    )
    arguments = TrainingArguments(
        output_dir=out, num_train_epochs=settings.epochs, per_device_train_batch_size=8, learning_rate=5e-5,
        seed=settings.seed, report_to="none", save_strategy="no", disable_tqdm=True, use_cpu=True,
    )  # fmt: skip
    clock = EpochClock()
    Trainer(model=model, args=arguments, train_dataset=rows, callbacks=[clock]).train()
    return len(rows) / clock.seconds[-1], model, tokenizer


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--train-size", type=int, default=320)
    parser.add_argument("--accuracy", action="store_true", help="2,000 definitions to the end, scores with intervals")
    call = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    n_train = 2000 if call.accuracy else call.train_size
    speeds: dict[str, list[float]] = {"padded to 100, 8, fp32": [], "ours": []}
    scores: dict[str, list[str]] = {name: [] for name in speeds}
    for seed in range(1 if call.accuracy else call.repeats):
        dataset = go(n_train, 1000 if call.accuracy else 64, seed)
        n_train = len(dataset["train"])
        settings = TrainingSettings(seed=seed, epochs=4 if call.accuracy else 2)
        test, truth = dataset["test"]["text"][:], np.asarray(dataset["test"]["label"][:])
        names = dataset["test"].features["label"].names
        with tempfile.TemporaryDirectory() as out:
            speed, model, tokenizer = plain(dataset, replace(settings, epochs=3 if call.accuracy else 2), out)
            speeds["padded to 100, 8, fp32"].append(speed)
            logits = predict_logits(model, tokenizer, test, max_length=100, bf16=False).logits
            scores["padded to 100, 8, fp32"].append(_score(truth, logits, names))
            clock = EpochClock()
            result = train_classifier(
                dataset, encoder="minilm", settings=settings, out=Path(out) / "ours", progress=False, callbacks=[clock]
            )
            speeds["ours"].append(n_train / clock.seconds[-1])
            model, tokenizer = load_classifier(str(result.model_dir)), load_tokenizer(str(result.model_dir))
            scores["ours"].append(_score(truth, predict_logits(model, tokenizer, test, max_length=128).logits, names))
    first = statistics.median(speeds["padded to 100, 8, fp32"])
    print(f"fine-tuning on {n_train:,} definitions ({machine()})")
    print("| way | samples a second | ratio | test accuracy (95 % interval) |\n|---|---|---|---|")
    for name, values in speeds.items():
        middle = statistics.median(values)
        print(
            f"| {name} | {middle:.1f} | {middle / first:.1f} | {scores[name][0] if call.accuracy else 'not measured'} |"
        )


def _score(truth, logits, names) -> str:
    report = evaluate(truth, softmax(logits), names)
    low, high = report.interval("accuracy")
    return f"{report.metrics['accuracy']:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
