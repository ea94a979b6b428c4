"""Relation extraction, start to end: folds, a fine-tuned or frozen encoder under a head, repeated with other seeds.

Training never sees test rows: the epoch is chosen on the corpus' validation part, or on a tenth of the training rows.
"""

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bioutils.cache import FeatureSpec, cached_features, encoded_width
from bioutils.corpora.marking import mark, marker_tokens
from bioutils.device import choose_device
from bioutils.encoders import load_encoder, load_tokenizer
from bioutils.errors import UsageError, expected
from bioutils.evaluation.calibration import softmax
from bioutils.heads.classification import HEADS, make_head
from bioutils.models import HeadedClassifier, head_notes, save_headed
from bioutils.relation_inputs import RelationInputs, relation_inputs
from bioutils.training.arguments import TrainingSettings
from bioutils.training.frozen import FROZEN, head_logits, train_head
from bioutils.training.judges import logits_on
from bioutils.training.loop import fit
from bioutils.training.relation_tasks import Fold, Task, Trial

if TYPE_CHECKING:
    from datasets import Dataset

STRATEGIES = ("fine-tuned", "frozen")
# Twice the rate of other tasks: a head on every token starts from nothing, and six epochs are few.
FINE_TUNED = TrainingSettings(epochs=8, learning_rate=2e-4, patience=0, max_length=96, metric="accuracy")
FROZEN_RELATIONS = replace(FROZEN, max_length=128, batch_size=64, patience=0, metric="accuracy")
# The heads of the earlier experiments under their names there: (strategy, name) → our head, its options, and what of the
# options is as it was and not as it should be.
ARCHITECTURES: dict[tuple[str, str], tuple[str, dict, dict]] = {
    ("fine-tuned", "MLP"): ("linear", {}, {}),
    ("fine-tuned", "CNN"): ("CNN", {"filters": 8, "hidden": 0, "pooling": "max"}, {"pooling": "average"}),
    ("fine-tuned", "CNN_seg"): ("CNN_seg", {}, {"pooling": "average", "bounded": True}),
    ("fine-tuned", "entities"): ("entities", {}, {}),
    ("frozen", "RNN"): ("RNN", {}, {}),
    ("frozen", "CNN"): ("CNN", {}, {"pooling": "words"}),
    ("frozen", "CNN_RNN"): ("CNN_RNN", {"pooling": "max"}, {"pooling": "average"}),
    ("frozen", "CNN_RNN_parallel"): ("CNN_RNN_parallel", {"pooling": "max"}, {"pooling": "average"}),
    ("frozen", "CNN_seg"): (
        "CNN_seg",
        {"project": 384, "filters": 1},
        {"pooling": "average", "bounded": True, "project": 0, "filters": 3},
    ),
    ("frozen", "entities"): ("entities", {}, {}),
}
# What a frozen encoder's head reads: its last layer, as in the earlier experiments, or what did better on validation rows.
LAYERS: dict[str, int | str] = {"CNN_seg": "last4_mean"}


def run_trial(
    task: Task,
    folds: Sequence[Fold],
    *,
    strategy: str,
    head: str,
    marking: str,
    encoder: str,
    settings: TrainingSettings | None = None,
    faithful: bool = False,
    layer: int | str | None = None,
    out: Path | str,
    cache: Path | str | None = None,
    keep_model: bool = False,
    progress: bool = True,
) -> Trial:
    """One repeat over all folds with ``settings.seed``. ``faithful`` takes the earlier experiments' form of the head.
    ``layer``: of a frozen encoder (``cache.FeatureSpec``), by default the head's of LAYERS, or the last.

    ``out``: where a fine-tuned fold is trained; its weights stay there (``fold-0/model``) only with ``keep_model``.
    ``cache``: where a frozen encoder's vectors are kept (``out/cache``). Raises UsageError for unknown names and for marker
    tokens on a frozen encoder, which would never learn them.
    """
    import pandas as pd

    name, options = architecture(strategy, head, faithful=faithful)
    settings = settings or (FINE_TUNED if strategy == "fine-tuned" else FROZEN_RELATIONS)
    started = time.perf_counter()
    if layer is None and faithful:
        layer = -1
    common = task, encoder, marking, settings, name, options
    if strategy == "frozen":
        one_fold = _frozen(*common, layer, LAYERS.get(head, -1), Path(cache or Path(out) / "cache"), progress)
    else:
        one_fold = _fine_tuned(*common, Path(out), keep_model, progress)
    rows, which, logits, histories, best = [], [], [], [], []
    for number, fold in enumerate(folds):
        found, history, epoch, facts = one_fold(number, fold)
        rows.append(fold.test)
        which.append(np.full(len(fold.test), number))
        logits.append(found)
        histories.append(history.assign(fold=number))
        best.append(epoch)
    return Trial(
        settings.seed, np.concatenate(rows), np.concatenate(which), softmax(np.concatenate(logits)),
        pd.concat(histories, ignore_index=True), best, time.perf_counter() - started, facts,
    )  # fmt: skip


def architecture(strategy: str, head: str, *, faithful: bool = False) -> tuple[str, dict[str, Any]]:
    """Our head and its options for a name of the earlier experiments. Raises UsageError for what there is not."""
    if strategy not in STRATEGIES:
        raise UsageError(expected("strategy", "a known one", strategy, available=STRATEGIES))
    if (strategy, head) not in ARCHITECTURES:
        known = [name for kind, name in ARCHITECTURES if kind == strategy]
        raise UsageError(expected("head", f"one for a {strategy} encoder", head, available=known))
    name, options, earlier = ARCHITECTURES[strategy, head]
    return name, options | (earlier if faithful else {})


def _fine_tuned(task, encoder, marking, settings, head, options, out: Path, keep_model: bool, progress: bool):
    tokenizer = load_tokenizer(encoder)
    if marking == "markers":
        tokenizer.add_tokens(marker_tokens(task.examples), special_tokens=True)
    inputs = relation_inputs(task.examples, tokenizer, marking=marking, max_length=settings.max_length)
    data = relation_dataset(task, inputs)

    def fold(number: int, rows: Fold):
        model = new_relation_model(
            task.names, len(tokenizer), encoder=encoder, head=head, options=options, seed=settings.seed
        )
        facts = head_notes(head, options, task.names, encoder, model.encoder, model.spec) | {"marking": marking}
        parts = {"train": data.select(rows.train), "validation": data.select(rows.validation)}
        result = fit(
            model, tokenizer, parts, encoder=encoder, settings=settings, out=out / f"fold-{number}",
            writers=[save_headed(model, tokenizer)] if keep_model else [], facts=facts, resumable=False, progress=progress,
        )  # fmt: skip
        logits = logits_on(model, tokenizer, data.select(rows.test))
        if not keep_model:
            shutil.rmtree(result.model_dir, ignore_errors=True)
        return logits, result.history, result.best_epoch, _facts(inputs, model)

    return fold


def _frozen(task, encoder, marking, settings, head, options, layer, usual, cache: Path, progress: bool):
    if marking == "markers":
        known = ["none", "mask", "enclose"]
        raise UsageError(expected("marking", "one a frozen encoder has words for", marking, available=known))
    state: dict[str, Any] = {}

    def fold(number: int, rows: Fold):
        if not state:  # once for all folds
            tokenizer, model = load_tokenizer(encoder), load_encoder(encoder)
            inputs = relation_inputs(task.examples, tokenizer, marking=marking, max_length=settings.max_length)
            deep = model.config.num_hidden_layers >= 4
            spec = FeatureSpec(
                layer=layer if layer is not None else usual if deep else -1,
                max_length=settings.max_length,
                marking=marking,
            )
            texts = [mark(example, marking).text for example in task.examples]
            features = cached_features(
                texts, encoder=encoder, spec=spec, folder=cache, model=model, tokenizer=tokenizer,
                input_ids=inputs.input_ids, progress=progress,
            )  # fmt: skip
            state.update(features=features, inputs=inputs)
        features, inputs = state["features"], state["inputs"]
        more = (
            {"segments": inputs.segments, "swapped": inputs.swapped} if getattr(HEADS[head], "places", False) else None
        )
        result = train_head(
            features, task.labels, features, task.labels, head=head, n_labels=len(task.names), settings=settings,
            rows=rows.train, validation_rows=rows.validation, more=more, progress=progress, **options,
        )  # fmt: skip
        logits = head_logits(result.head, features, rows=rows.test, more=more)
        return logits, result.history, result.best_epoch, _facts(inputs, result.head)

    return fold


def _facts(inputs: RelationInputs, model) -> dict[str, Any]:
    weights = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return {"n_windowed": inputs.n_windowed, "n_elided": inputs.n_elided, "n_weights": weights}


def new_relation_model(
    labels: Sequence[str], n_tokens: int, *, encoder: str, head: str, options: dict[str, Any], seed: int
) -> HeadedClassifier:
    """An encoder with room for ``n_tokens`` (marks added) under an untrained head; new weights depend on ``seed`` alone."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        # With gradients, on CPU and on short texts, torch's fused attention is slower than the plain one.
        base = load_encoder(encoder, attention=choose_device().type == "cpu")
        if n_tokens > base.get_input_embeddings().num_embeddings:
            base.resize_token_embeddings(n_tokens)
    kind = HEADS[head]
    spec = FeatureSpec(pooling="cls" if kind.pooled else "tokens")
    made = make_head(head, encoded_width(base, spec.layer), len(labels), seed=seed, **options)
    return HeadedClassifier(base, made, list(labels), spec, frozen=False)


def relation_dataset(task: Task, inputs: RelationInputs) -> "Dataset":
    """Columns text, label, input_ids, length, segments, swapped: what ``loop.fit`` trains on."""
    from datasets import ClassLabel, Dataset

    columns = {
        "text": [example.text for example in task.examples],
        "label": task.labels,
        "input_ids": inputs.input_ids,
        "length": [len(ids) for ids in inputs.input_ids],
        "segments": inputs.segments.tolist(),
        "swapped": inputs.swapped,
    }
    data = Dataset.from_dict(columns)
    features = data.features.copy()
    features["label"] = ClassLabel(names=task.names)
    return Dataset.from_dict(columns, features=features)
