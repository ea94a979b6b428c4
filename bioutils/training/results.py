"""What every way of training shares: the scores an epoch is chosen by, its result, the folder a model is saved in."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bioutils.encoders import load_classifier, load_tokenizer, max_tokens
from bioutils.errors import UsageError, expected
from bioutils.evaluation.calibration import log_loss, softmax
from bioutils.files import atomic_folder, write_json
from bioutils.models import SIDECAR
from bioutils.training.arguments import TrainingSettings

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class TrainingResult:
    """Where the best epoch's model is, and how training went (``history``: one row an epoch).

    ``mistakes`` (native loop only): one row a wrong validation text and epoch.
    """

    model_dir: Path
    history: "pd.DataFrame"
    best_epoch: int
    temperature: float
    seconds: float
    samples_per_second: float
    mistakes: "pd.DataFrame | None" = None


def epoch_scores(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """``accuracy`` and ``macro_f1`` (the mean over the classes that occur) of logits (rows, classes)."""
    from sklearn.metrics import accuracy_score, f1_score

    predicted = np.asarray(logits).argmax(-1)
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "macro_f1": float(f1_score(labels, predicted, average="macro", zero_division=0)),
    }


def validation_scores(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Loss (nats), accuracy and macro-F1 under the names they have in ``history``."""
    scores = {"loss": log_loss(softmax(logits), labels), **epoch_scores(logits, labels)}
    return {f"validation_{name}": value for name, value in scores.items()}


def new_classifier(
    train: "Dataset", *, encoder: str, settings: TrainingSettings
) -> "tuple[list[str], PreTrainedTokenizerBase, PreTrainedModel]":
    """Label names, tokenizer and untrained classifier for a data set. Raises UsageError for too large a ``max_length``."""
    names = train.features["label"].names
    tokenizer = load_tokenizer(encoder)
    model = load_classifier(encoder, labels=names, seed=settings.seed)
    if settings.max_length > max_tokens(model):
        raise UsageError(expected("max_length", f"at most the {max_tokens(model)} of {encoder}", settings.max_length))
    return names, tokenizer, model


def training_notes(
    train: "Dataset", *, encoder: str, settings: TrainingSettings, temperature: float, scores: dict[str, float]
) -> dict[str, Any]:
    """What every way of training writes about a model into its ``bioutils.json``."""
    return {
        "max_length": settings.max_length,
        "temperature": temperature,
        "encoder": encoder,
        "settings": asdict(settings),
        "n_train": len(train),
        "data": train.info.description,
    } | scores


def save_whole(folder: Path, notes: dict[str, Any], *writers: Callable[[Path], Any]) -> Path:
    """The model's folder, written under a temporary name and swapped in: a reader sees the old one or the new one.

    Each of ``writers`` gets the temporary folder; ``notes`` go into its ``bioutils.json``. Raises BioutilsError when
    the disk is full.
    """
    with atomic_folder(folder) as temporary:
        for write in writers:
            write(temporary)
        write_json(temporary / SIDECAR, notes)
    return folder
