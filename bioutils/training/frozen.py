"""Heads trained on an encoder's cached vectors: the encoder runs once, the head as often as one likes."""

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bioutils.cache import Features, FeatureSpec, cached_features
from bioutils.device import autocast, choose_device, keep_freed_memory
from bioutils.encoders import load_encoder, load_tokenizer
from bioutils.errors import UsageError, expected
from bioutils.evaluation.calibration import fit_temperature
from bioutils.heads.classification import HEADS, make_head, n_weights
from bioutils.models import head_notes, save_head
from bioutils.training.arguments import TrainingSettings
from bioutils.training.loop import MAX_NORM, epoch_order
from bioutils.training.optimizers import make_optimizer
from bioutils.training.results import save_whole, validation_scores

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from datasets import DatasetDict
    from torch import nn

# The earlier experiments' settings: Adam, 30 epochs, 1e-3, no warm-up, no decay. Heads are small and cheap, so more epochs
# and a higher rate than for an encoder; an epoch costs so little that more patience does too.
FROZEN = TrainingSettings(epochs=30, learning_rate=1e-3, warmup=0.0, weight_decay=0.0, patience=8)


@dataclass(frozen=True)
class HeadResult:
    """A trained head with its best epoch's weights. ``seconds``: of training alone; ``history``: one row an epoch."""

    head: "nn.Module"
    name: str
    options: dict[str, Any]
    history: "pd.DataFrame"
    best_epoch: int
    temperature: float
    seconds: float
    n_weights: int


def head_logits(
    head: "nn.Module",
    features: Features,
    *,
    rows: Sequence[int] | None = None,
    more: Mapping[str, np.ndarray] | None = None,
    batch_size: int = 128,
) -> np.ndarray:
    """Logits (rows, labels) in the order of ``rows`` (all by default), batched by length.

    ``more``: what a head takes beside vectors and mask, arrays with a row a text (``segments``, ``swapped``).
    """
    import torch

    rows = np.arange(len(features)) if rows is None else np.asarray(rows)
    order = np.argsort(-features.lengths[rows], kind="stable")
    device, logits = choose_device(), None
    head = head.to(device).eval()
    with torch.no_grad(), autocast():
        for start in range(0, len(order), batch_size):
            places = order[start : start + batch_size]
            found = head(*_inputs(features, rows[places]), **_more(more, rows[places])).float().cpu().numpy()
            if logits is None:
                logits = np.empty((len(rows), found.shape[1]), dtype=np.float32)
            logits[places] = found
    if logits is None:
        raise UsageError("Expected rows to hold one or more, found none.")
    return logits


def train_head(
    train: Features,
    labels: Sequence[int],
    validation: Features,
    validation_labels: Sequence[int],
    *,
    head: str,
    n_labels: int,
    settings: TrainingSettings = FROZEN,
    rows: Sequence[int] | None = None,
    validation_rows: Sequence[int] | None = None,
    more: Mapping[str, np.ndarray] | None = None,
    progress: bool = False,
    **options: Any,
) -> HeadResult:
    """A head of that name trained on ``rows`` (all by default) of ``train``; the epoch that is best on validation rows is kept.

    ``validation_rows``: the rows of ``validation`` that count; ``more`` as in ``head_logits``, the same for both.
    Raises UsageError for an unknown head, and for one that does not take what the features hold (pooled or tokens).
    """
    import pandas as pd
    import torch
    from torch.nn.functional import cross_entropy
    from tqdm import tqdm

    if head in HEADS and HEADS[head].pooled != train.pooled:
        holds, takes = ("pooled", "token") if train.pooled else ("token", "pooled")
        fitting = [name for name, kind in HEADS.items() if kind.pooled == train.pooled]
        raise UsageError(expected("head", f"one on {holds} vectors", f"{head}, on {takes} vectors", available=fitting))
    if head in HEADS and getattr(HEADS[head], "places", False) and not more:
        raise UsageError(
            f"The head {head!r} must be told where the entities are: pass more={{'segments': …, 'swapped': …}}."
        )
    keep_freed_memory()
    labels, truth = np.asarray(labels), np.asarray(validation_labels)
    for name, features, found in (("labels", train, labels), ("validation_labels", validation, truth)):
        if len(features) != len(found):
            raise UsageError(expected(name, f"{len(features)} labels, one a text", len(found)))
    rows = np.arange(len(train)) if rows is None else np.asarray(rows)
    held_out = np.arange(len(validation)) if validation_rows is None else np.asarray(validation_rows)
    truth = truth[held_out]
    device = choose_device()
    model = make_head(head, train.width, n_labels, seed=settings.seed, **options).to(device)
    optimizer = make_optimizer(model, settings)
    history: list[dict] = []
    best: dict | None = None
    metric = f"validation_{settings.metric}"
    started = time.perf_counter()
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)  # dropout
        for epoch in tqdm(range(1, settings.epochs + 1), desc=head, unit=" epochs", disable=None if progress else True):
            model.train()
            losses = []
            for places in epoch_order(train.lengths[rows], rows_a_step=settings.batch_size, seed=settings.seed + epoch):
                truth_here = torch.as_tensor(labels[rows[places]], device=device)
                optimizer.zero_grad()
                with autocast(settings.bf16):
                    logits = model(*_inputs(train, rows[places]), **_more(more, rows[places]))
                    loss = cross_entropy(logits, truth_here)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
                optimizer.step()
                losses.append(loss.item())
            logits = head_logits(model, validation, rows=held_out, more=more)
            scores = validation_scores(logits, truth)
            history.append({"epoch": epoch, "train_loss": float(np.mean(losses)), **scores})
            if best is None or settings.best([best[metric], scores[metric]]) == 1:
                best = {**scores, "epoch": epoch, "logits": logits, "weights": copy.deepcopy(model.state_dict())}
            elif settings.patience and epoch - best["epoch"] >= settings.patience:
                break
    seconds = time.perf_counter() - started
    model.load_state_dict(best["weights"])
    temperature = fit_temperature(best["logits"], truth)
    return HeadResult(
        model.eval(), head, options, pd.DataFrame(history), best["epoch"], temperature, seconds, n_weights(model)
    )


def _inputs(features: Features, rows: np.ndarray) -> "tuple[torch.Tensor, torch.Tensor]":
    device = choose_device()
    return tuple(part.to(device) for part in features.batch(rows))


def _more(more: Mapping[str, np.ndarray] | None, rows: np.ndarray) -> "dict[str, torch.Tensor]":
    import torch

    return {name: torch.as_tensor(values[rows], device=choose_device()) for name, values in (more or {}).items()}


def features_of(
    dataset: "DatasetDict", *, encoder: str, spec: FeatureSpec, folder: Path | str, progress: bool = True
) -> dict[str, Features]:
    """The cached features of each part of a data set (column ``text``)."""
    model, tokenizer = load_encoder(encoder), load_tokenizer(encoder)
    return {
        part: cached_features(
            rows["text"][:], encoder=encoder, spec=spec, folder=folder, model=model, tokenizer=tokenizer,
            progress=progress,
        )
        for part, rows in dataset.items()
    }  # fmt: skip


def save_frozen(
    result: HeadResult,
    out: Path | str,
    *,
    encoder: str,
    spec: FeatureSpec,
    labels: list[str],
    settings: TrainingSettings,
    **facts: Any,
) -> Path:
    """The folder ``out`` with the head and its notes, which ``models.load_model`` and ``bioutils score`` take."""
    notes = head_notes(result.name, result.options, labels, encoder, load_encoder(encoder), spec)
    notes |= {"max_length": spec.max_length, "temperature": result.temperature, "settings": asdict(settings), **facts}
    return save_whole(Path(out), notes, save_head(result.head))


def frozen_settings(**changes: Any) -> TrainingSettings:
    """``FROZEN`` with some fields changed."""
    return replace(FROZEN, **changes)
