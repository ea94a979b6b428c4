"""What an epoch is worth: scores on validation rows, the mistakes, and the temperature of the probabilities."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bioutils.evaluation.calibration import fit_temperature, softmax
from bioutils.inference import logits_of
from bioutils.training.results import validation_scores

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset
    from torch import nn
    from transformers import PreTrainedTokenizerBase

# Columns that a model of the data takes beside the ids, of the same shape for each row.
MORE_INPUTS = ("segments", "swapped")


class Judge(Protocol):
    """What ``loop.fit`` asks after each epoch: ``scores`` first, then the rest about the same outputs."""

    def scores(self, model: "nn.Module") -> dict[str, float]:
        """``validation_loss`` and the scores that an epoch may be chosen by."""

    def mistakes(self, epoch: int) -> "pd.DataFrame":
        """One row a mistake."""

    def temperature(self) -> float:
        """What logits are divided by so that probabilities are calibrated."""


class ClassJudge:
    """A judge of classifiers, on tokenised rows (text, label, input_ids) with one class each."""

    def __init__(self, data: "Dataset", tokenizer: "PreTrainedTokenizerBase"):
        self.data, self.tokenizer = data, tokenizer
        self.truth, self.names = np.asarray(data["label"][:]), data.features["label"].names

    def scores(self, model: "nn.Module") -> dict[str, float]:
        """Loss, accuracy, macro-F1."""
        self.logits = logits_on(model, self.tokenizer, self.data)
        return validation_scores(self.logits, self.truth)

    def mistakes(self, epoch: int) -> "pd.DataFrame":
        """As ``mistakes_of``."""
        return mistakes_of(self.data, self.logits, self.names, epoch=epoch)

    def temperature(self) -> float:
        """Fitted on all rows."""
        return fit_temperature(self.logits, self.truth)


def logits_on(model: "nn.Module", tokenizer: "PreTrainedTokenizerBase", data: "Dataset") -> np.ndarray:
    """Logits (rows, classes) of tokenised data, in its order."""
    more = {name: np.asarray(data[name][:]) for name in MORE_INPUTS if name in data.column_names}
    return logits_of(model, tokenizer, data["input_ids"][:], more=more)


def mistakes_of(data: "Dataset", logits: np.ndarray, names: Sequence[str], *, epoch: int) -> "pd.DataFrame":
    """One row a wrong validation text: ``epoch, row, text, true, predicted, confidence``, the surest mistake first."""
    import pandas as pd

    labels, probabilities = np.asarray(data["label"][:]), softmax(logits)
    predicted = probabilities.argmax(1)
    wrong = np.flatnonzero(predicted != labels)
    texts = data["text"][:]
    table = pd.DataFrame(
        {
            "epoch": epoch,
            "row": wrong,
            "text": [texts[i] for i in wrong],
            "true": [names[labels[i]] for i in wrong],
            "predicted": [names[predicted[i]] for i in wrong],
            "confidence": probabilities.max(1)[wrong],
        }
    )
    return table.sort_values("confidence", ascending=False, ignore_index=True)
