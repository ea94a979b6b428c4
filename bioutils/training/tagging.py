"""Entity taggers trained: sentences as token labels, each epoch judged by spans on validation sentences, the best one kept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bioutils.corpora.conll import Sentence
from bioutils.corpora.entities import EntityCorpus
from bioutils.corpora.splits import hold_out
from bioutils.corpora.units import Units, to_unit_tags, to_word_tags, units_of
from bioutils.device import autocast, choose_device
from bioutils.errors import UsageError, expected
from bioutils.evaluation.calibration import fit_temperature
from bioutils.evaluation.spans import evaluate_spans
from bioutils.heads.tagging import NO_LABEL, TaggerWithCRF
from bioutils.taggers import Tagger, decode, emissions_of, join_windows, new_tagger, save_tagger
from bioutils.tagging_inputs import TaggingInputs, tagging_inputs
from bioutils.training.arguments import TrainingSettings
from bioutils.training.loop import epoch_order, fit, loss_of, micro_batches
from bioutils.training.lr_finder import RangeTest, range_test
from bioutils.training.optimizers import make_optimizer
from bioutils.training.results import TrainingResult

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset
    from torch import nn
    from transformers import PreTrainedTokenizerBase

ROUTES = ("native", "trainer")
# Three times the rate of other tasks: the tags' layer starts from nothing. On NCBI-disease's development sentences 2e-4, 3e-4
# and 5e-4 lay about a point of span F1 apart after three epochs, as seeds do; eight epochs were no better than four.
TAGGING = TrainingSettings(epochs=4, learning_rate=3e-4, metric="micro_f1", max_length=128, patience=0)


@dataclass(frozen=True)
class TaggingTask:
    """Sentences to train on, to choose the epoch by and to test on, and the labels in their order."""

    train: list[Sentence]
    validation: list[Sentence]
    test: list[Sentence]
    labels: tuple[str, ...]
    scheme: str
    name: str = ""


def make_task(
    corpus: EntityCorpus, *, validation: float = 0.1, n_train: int | None = None, seed: int = 42
) -> TaggingTask:
    """The corpus' parts; without a validation part of its own, a share of the training abstracts, never of the test file.

    ``n_train``: a draw of so many training sentences. Raises UsageError where there is nothing to train on or to choose by.
    """
    train, held_out = corpus.parts.get("train", []), corpus.parts.get("validation", [])
    if len(train) < 2:
        raise UsageError(f"{corpus.name} has no training part here. Fetch the whole corpus.")
    if not held_out:
        groups = documents_of(train)
        zeros = np.zeros(len(train), dtype=int)
        rows, chosen = hold_out(np.arange(len(train)), zeros, groups, share=validation, seed=seed)
        train, held_out = [train[i] for i in rows], [train[i] for i in chosen]
    if n_train is not None and n_train < len(train):
        drawn = np.sort(np.random.default_rng(seed).permutation(len(train))[:n_train])
        train = [train[i] for i in drawn]
    return TaggingTask(train, held_out, corpus.parts.get("test", []), corpus.labels, corpus.scheme, corpus.name)


def documents_of(sentences: Sequence[Sentence]) -> np.ndarray:
    """The document of each sentence; where a file marks none, each sentence is one."""
    return np.array([s.document or f"sentence {i}" for i, s in enumerate(sentences)])


class TagJudge:
    """A judge of taggers (``judges.Judge``), by the spans in words of sentences whose gold is never cut."""

    def __init__(self, sentences: Sequence[Sentence], tokenizer: "PreTrainedTokenizerBase", labels: Sequence[str],
                 *, scheme: str, max_length: int):  # fmt: skip
        self.sentences, self.tokenizer, self.labels, self.scheme = sentences, tokenizer, list(labels), scheme
        self.units, self.inputs, self.truth = encoded(
            sentences, tokenizer, self.labels, scheme=scheme, max_length=max_length
        )

    def labels_of_rows(self) -> list[list[int]]:
        """A label a token of each row of the inputs, NO_LABEL where none is asked for."""
        return row_labels(self.inputs, self.truth)

    def scores(self, model: "nn.Module") -> dict[str, float]:
        """Loss a unit (nats), micro- and macro-F1 of spans, accuracy by word."""
        self.model = model
        self.emissions = emissions_of(model, self.tokenizer, self.inputs, [len(u.units) for u in self.units])
        return self._scores()

    def scores_of_rows(self, model: "nn.Module", logits: Sequence[np.ndarray]) -> dict[str, float]:
        """The same of logits (tokens, tags) of each row of the inputs."""
        self.model = model
        answers = [values[places] for values, places in zip(logits, self.inputs.places, strict=True)]
        self.emissions = join_windows(self.inputs, answers, [len(u.units) for u in self.units], len(self.labels))
        return self._scores()

    def _scores(self) -> dict[str, float]:
        tags = decode(self.model, self.emissions, self.labels)
        self.tags = [to_word_tags(found, u, self.scheme) for found, u in zip(tags, self.units, strict=True)]
        gold = [s.tags for s in self.sentences]
        metrics = evaluate_spans(gold, self.tags, scheme=self.scheme, n_bootstrap=2).metrics
        words = [(a, b) for one, other in zip(gold, self.tags, strict=True) for a, b in zip(one, other, strict=True)]
        return {
            "validation_loss": self._loss(),
            "validation_micro_f1": metrics["micro_f1"],
            "validation_macro_f1": metrics["macro_f1"],
            "validation_accuracy": float(np.mean([a == b for a, b in words])),
        }

    def _loss(self) -> float:
        import torch

        device = next(self.model.parameters()).device
        total = 0.0
        with torch.no_grad():
            order = sorted(range(len(self.truth)), key=lambda i: len(self.truth[i]))
            for start in range(0, len(order), 64):
                rows = order[start : start + 64]
                logits = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(self.emissions[i]) for i in rows], True)
                labels = torch.nn.utils.rnn.pad_sequence(
                    [torch.from_numpy(self.truth[i]) for i in rows], True, padding_value=NO_LABEL
                )
                total += float(loss_of(self.model)(logits.to(device), labels.to(device)))
        return total / max(1, sum(map(len, self.truth)))

    def mistakes(self, epoch: int) -> "pd.DataFrame":
        """One row a wrong word: ``epoch, sentence, word, token, label, predicted``."""
        import pandas as pd

        rows = [
            (epoch, number, i, s.tokens[i], label, found)
            for number, (s, tags) in enumerate(zip(self.sentences, self.tags, strict=True))
            for i, (label, found) in enumerate(zip(s.tags, tags, strict=True))
            if label != found
        ]
        return pd.DataFrame(rows, columns=["epoch", "sentence", "word", "token", "label", "predicted"])

    def temperature(self) -> float:
        """Fitted on units' logits; 1 under a CRF, whose probabilities are those of paths."""
        if isinstance(self.model, TaggerWithCRF):
            return 1.0
        return fit_temperature(np.concatenate(self.emissions), np.concatenate(self.truth))


def encoded(
    sentences: Sequence[Sentence], tokenizer: "PreTrainedTokenizerBase", labels: Sequence[str], *, scheme: str,
    max_length: int,
) -> tuple[list[Units], TaggingInputs, list[np.ndarray]]:  # fmt: skip
    """Each sentence's units, the windows over them, and each unit's tag as a number, (units,) a sentence.

    Raises UsageError for a tag that is not among the labels.
    """
    number = {label: i for i, label in enumerate(labels)}
    if unknown := sorted({tag for s in sentences for tag in s.tags} - set(number)):
        raise UsageError(
            expected("tags", f"among {list(labels)}", unknown, remedy="Train on types of the same corpus.")
        )
    units = [units_of(s.tokens) for s in sentences]
    truth = [
        np.array([number[tag] for tag in to_unit_tags(s.tags, u, scheme)])
        for s, u in zip(sentences, units, strict=True)
    ]
    return units, tagging_inputs([u.units for u in units], tokenizer, max_length=max_length), truth


def tagging_dataset(
    sentences: Sequence[Sentence], tokenizer: "PreTrainedTokenizerBase", labels: Sequence[str], *, scheme: str,
    max_length: int,
) -> "tuple[Dataset, TaggingInputs]":  # fmt: skip
    """Columns text, input_ids, label (a list: NO_LABEL but at a unit's first piece), length; a row a window.

    Raises UsageError for a tag that is not among the labels.
    """
    from datasets import Dataset

    _, inputs, truth = encoded(sentences, tokenizer, labels, scheme=scheme, max_length=max_length)
    columns = {
        "text": [" ".join(sentences[i].tokens) for i in inputs.sentence],
        "input_ids": inputs.input_ids,
        "label": row_labels(inputs, truth),
        "length": [len(ids) for ids in inputs.input_ids],
    }
    return Dataset.from_dict(columns), inputs


def row_labels(inputs: TaggingInputs, truth: Sequence[np.ndarray]) -> list[list[int]]:
    """A label a token of each window: of ``truth`` (units) of its sentence at first pieces, else NO_LABEL."""
    rows = []
    for ids, sentence, units, places in zip(*inputs[:4], strict=True):
        label = np.full(len(ids), NO_LABEL)
        label[places] = truth[sentence][units]
        rows.append(label.tolist())
    return rows


def prepare_tagger(
    task: TaggingTask, *, encoder: str, head: str = "softmax", settings: TrainingSettings = TAGGING,
    dropout: float | None = None,
) -> "tuple[Tagger, Dataset, TagJudge, dict[str, Any]]":  # fmt: skip
    """An untrained tagger, what it trains on, who judges it, and what its notes say of these."""
    tagger = new_tagger(
        task.labels, encoder=encoder, head=head, scheme=task.scheme, seed=settings.seed, max_length=settings.max_length,
        dropout=dropout,
    )  # fmt: skip
    common = {"scheme": task.scheme, "max_length": settings.max_length}
    train, inputs = tagging_dataset(task.train, tagger.tokenizer, task.labels, **common)
    train.info.description = task.name
    judge = TagJudge(task.validation, tagger.tokenizer, task.labels, **common)
    facts = {
        "labels": list(task.labels), "scheme": task.scheme, "head": head, "dropout": dropout, "n_sentences": len(task.train),
        "n_windowed": inputs.n_windowed, "n_unknown": inputs.n_unknown, "n_cut": inputs.n_cut,
    }  # fmt: skip
    return tagger, train, judge, facts


def train_tagger(
    task: TaggingTask, *, encoder: str, out: Path | str, head: str = "softmax", settings: TrainingSettings = TAGGING,
    dropout: float | None = None, route: str = "native", resume: bool = False, progress: bool = True,
    callbacks: Sequence[Any] = (),
) -> tuple[Tagger, TrainingResult]:  # fmt: skip
    """The tagger of the best epoch by spans on validation sentences, saved under ``out/model``, and how training went.

    ``head``: "softmax" or "crf". ``dropout``: of the encoder's layers in place of its own. ``route``: our loop, or transformers'
    Trainer (softmax alone). Raises UsageError for what there is not.
    """
    if route not in ROUTES:
        raise UsageError(expected("route", "a known one", route, available=ROUTES))
    tagger, train, judge, facts = prepare_tagger(task, encoder=encoder, head=head, settings=settings, dropout=dropout)
    if route == "trainer":
        from bioutils.training.trainer import train_token_classifier

        result = train_token_classifier(
            tagger, train, judge, encoder=encoder, settings=settings, out=out, facts=facts, resume=resume,
            progress=progress, callbacks=callbacks,
        )  # fmt: skip
    else:
        result = fit(
            tagger.model, tagger.tokenizer, {"train": train}, encoder=encoder, settings=settings, out=out,
            writers=[save_tagger(tagger)], facts=facts, judge=judge, resume=resume, progress=progress, callbacks=callbacks,
        )  # fmt: skip
    notes = {"temperature": result.temperature, "scheme": task.scheme, "max_length": settings.max_length}
    return replace(tagger, notes=notes), result


def tagger_range_test(
    task: TaggingTask, *, encoder: str, head: str = "softmax", settings: TrainingSettings = TAGGING, **options: Any
) -> RangeTest:
    """``lr_finder.range_test``, whose options it takes, of an untrained tagger on training sentences."""
    tagger = new_tagger(
        task.labels, encoder=encoder, head=head, scheme=task.scheme, seed=settings.seed, max_length=settings.max_length
    )
    data, _ = tagging_dataset(
        task.train, tagger.tokenizer, task.labels, scheme=task.scheme, max_length=settings.max_length
    )
    model = tagger.model.to(choose_device())
    order = epoch_order(np.asarray(data["length"][:]), rows_a_step=settings.batch_size, seed=settings.seed)
    batches = [next(micro_batches(data, rows, tagger.tokenizer, batch_size=settings.batch_size)) for rows in order[:20]]

    def mean_loss(batch):
        inputs, labels = batch
        with autocast(settings.bf16):
            return loss_of(model)(model(**inputs).logits, labels) / (labels != NO_LABEL).sum()

    return range_test(model, make_optimizer(model, settings), batches, mean_loss, **options)
