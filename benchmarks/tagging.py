"""Entity recognition, how fast: tagging against a loop over single sentences, training against padding to 128 in float32.

Both ways of tagging use the same trained tagger and are compared span by span; both ways of training see the same sentences
in the same number of epochs, at the learning rate that each usually has, and are scored on the same validation sentences.
"""

import os
import statistics
import tempfile
import time
from dataclasses import replace

import numpy as np
import torch

from bioutils.corpora.entities import read_entities
from bioutils.corpora.tags import to_spans
from bioutils.corpora.units import to_word_tags, units_of
from bioutils.encoders import load_token_classifier, load_tokenizer
from bioutils.errors import BioutilsError
from bioutils.training.tagging import TAGGING, TagJudge, make_task, train_tagger

from common import arguments, machine


def task_of(n_train: int, seed: int):
    """JNLPBA where it is at hand, else the sample."""
    try:
        return make_task(read_entities("jnlpba", repairs=[]), n_train=n_train, seed=seed)
    except BioutilsError:
        return make_task(read_entities("jnlpba", sample=True), n_train=n_train, seed=seed)


def one_by_one(tagger, sentences) -> list[list[str]]:
    """A sentence a forward pass, in float32."""
    found = []
    model = tagger.model.eval()
    for words in sentences:
        units = units_of(words)
        encoded = tagger.tokenizer(
            units.units, is_split_into_words=True, return_tensors="pt", truncation=True, max_length=512
        )
        with torch.no_grad():
            best = model(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"]).logits[0].argmax(1)
        tags, seen = ["O"] * len(units.units), set()
        for place, unit in enumerate(encoded.word_ids(0)):
            if unit is not None and unit not in seen:
                seen.add(unit)
                tags[unit] = tagger.labels[best[place]]
        found.append(to_word_tags(tags, units))
    return found


def padded(task, settings, *, seed: int):
    """Every sentence cut and padded to 128 tokens, batches of 32 in their order shuffled, float32, AdamW."""
    tokenizer = load_tokenizer("minilm")
    model = load_token_classifier("minilm", labels=list(task.labels), seed=seed).train()
    number = {label: i for i, label in enumerate(task.labels)}
    words = [list(s.tokens) for s in task.train]
    encoded = tokenizer(
        words, is_split_into_words=True, truncation=True, padding="max_length", max_length=128, return_tensors="pt"
    )
    labels = torch.full(encoded["input_ids"].shape, -100)
    for row, sentence in enumerate(task.train):
        before = None
        for place, word in enumerate(encoded.word_ids(row)):
            if word is not None and word != before:
                labels[row, place] = number[sentence.tags[word]]
            before = word
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate)
    n_steps = settings.epochs * -(-len(words) // 32)
    warm_up = 0.1 * n_steps
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm_up, 1 - (step - warm_up) / (n_steps - warm_up))
    )
    started = time.perf_counter()
    for epoch in range(settings.epochs):
        for rows in torch.randperm(len(words), generator=torch.Generator().manual_seed(seed + epoch)).split(32):
            optimizer.zero_grad()
            logits = model(input_ids=encoded["input_ids"][rows], attention_mask=encoded["attention_mask"][rows]).logits
            torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[rows].flatten()).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    seconds = time.perf_counter() - started
    judge = TagJudge(task.validation, tokenizer, task.labels, scheme=task.scheme, max_length=128)
    return settings.epochs * len(words) / seconds, judge.scores(model)["validation_micro_f1"]


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--train-size", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=2)
    call = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    speeds: dict[str, list[float]] = {name: [] for name in ("padded", "ours", "one by one", "together")}
    f1: dict[str, list[float]] = {"padded": [], "ours": []}
    different, n_spans, kept = 0, 0, []
    for seed in range(call.repeats):
        task = task_of(call.train_size, seed)
        task = replace(task, validation=task.validation[:400])
        settings = replace(TAGGING, epochs=call.epochs, seed=seed, metric="loss")
        speed, score = padded(task, settings, seed=seed)
        speeds["padded"].append(speed)
        f1["padded"].append(score)
        with tempfile.TemporaryDirectory() as out:
            quiet = replace(task, validation=task.validation[:40])  # few, so that the clock shows training
            started = time.perf_counter()
            tagger, result = train_tagger(quiet, encoder="minilm", settings=settings, out=out, progress=False)
            speeds["ours"].append(result.samples_per_second)
            kept.append(result.best_epoch)
        judge = TagJudge(task.validation, tagger.tokenizer, task.labels, scheme=task.scheme, max_length=128)
        f1["ours"].append(judge.scores(tagger.model)["validation_micro_f1"])
        words = [s.tokens for s in task.test[:1500]]
        slice_ = words[:: max(1, len(words) // 200)]
        started = time.perf_counter()
        alone = one_by_one(tagger, slice_)
        speeds["one by one"].append(len(slice_) / (time.perf_counter() - started))
        started = time.perf_counter()
        tagger.tag_words(words)
        speeds["together"].append(len(words) / (time.perf_counter() - started))
        for one, other in zip(alone, tagger.tag_words(slice_), strict=True):
            different += len(set(to_spans(one)) ^ set(to_spans(other)))
            n_spans += len(to_spans(one))
    middle = {name: statistics.median(values) for name, values in speeds.items()}
    print(f"entity recognition, {len(task.train):,} training sentences, {call.epochs} epochs ({machine()})")
    print("| way | sentences a second | ratio | |\n|---|---|---|---|")
    for name, base in (
        ("padded", "padded"),
        ("ours", "padded"),
        ("one by one", "one by one"),
        ("together", "one by one"),
    ):
        remark = f"validation F1 {np.mean(f1[name]):.3f}" if name in f1 else ""
        print(f"| {name} | {middle[name]:.1f} | {middle[name] / middle[base]:.1f} | {remark} |")
    print(f"epochs kept (the loss on 40 sentences chooses; padded keeps its last): {kept}")
    print(f"spans that differ between one by one (float32) and together: {different} of {n_spans}")


if __name__ == "__main__":
    main()
