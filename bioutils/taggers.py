"""Taggers: an encoder that gives each unit of a text a tag, with or without a CRF; saved, loaded, and put to work."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bioutils.corpora.tags import split_tag
from bioutils.corpora.units import to_word_tags, units_of
from bioutils.device import autocast, choose_device, keep_freed_memory
from bioutils.encoders import load_token_classifier, load_tokenizer
from bioutils.errors import DataError, UsageError, expected
from bioutils.evaluation.calibration import softmax
from bioutils.features import device_batches
from bioutils.files import read_json
from bioutils.heads.tagging import TaggerWithCRF
from bioutils.models import SIDECAR
from bioutils.tagging_inputs import TaggingInputs, tagging_inputs

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from bioutils.heads.crf import CRF

HEADS = ("softmax", "crf")
CRF_FILE = "crf.safetensors"


@dataclass(frozen=True)
class Tagger:
    """A tagger, its labels in the order of its outputs, their scheme, the longest input in tokens, and its notes."""

    model: "nn.Module"
    tokenizer: "PreTrainedTokenizerBase"
    labels: list[str]
    scheme: str = "IOB2"
    max_length: int = 128
    notes: dict[str, Any] | None = None

    @property
    def types(self) -> list[str]:
        """The entity types, in the labels' order."""
        return list(dict.fromkeys(split_tag(label)[1] for label in self.labels if label != "O"))

    def check_types(self, types: Sequence[str]) -> None:
        """Raises UsageError where a corpus has types that this tagger was not trained on: all of them would be missed."""
        if unknown := sorted(set(types) - set(self.types)):
            remedy = "Take a corpus of these types, or train a tagger on that one."
            raise UsageError(expected("types of the corpus", f"among {self.types}", unknown, remedy=remedy))

    def tag_units(self, sentences: Sequence[Sequence[str]]) -> tuple[list[list[str]], list[np.ndarray]]:
        """Each sentence's units' tags, and how sure each is: its probability, under a CRF the marginal one."""
        emissions = self._emissions(sentences)
        tags = decode(self.model, emissions, self.labels)
        temperature = float((self.notes or {}).get("temperature", 1.0))
        return tags, certainty(self.model, emissions, tags, self.labels, temperature=temperature)

    def tag_words(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """Each sentence's words' tags."""
        units = [units_of(words) for words in sentences]
        tags = decode(self.model, self._emissions([u.units for u in units]), self.labels)
        return [to_word_tags(found, u, self.scheme) for found, u in zip(tags, units, strict=True)]

    def _emissions(self, sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        inputs = tagging_inputs(sentences, self.tokenizer, max_length=self.max_length)
        return emissions_of(self.model, self.tokenizer, inputs, [len(s) for s in sentences])


def new_tagger(
    labels: Sequence[str], *, encoder: str, head: str = "softmax", scheme: str = "IOB2", seed: int = 0,
    max_length: int = 128, dropout: float | None = None,
) -> Tagger:  # fmt: skip
    """An untrained tagger on an encoder. Raises UsageError for an unknown head."""
    import torch

    if head not in HEADS:
        raise UsageError(expected("head", "a known one", head, available=HEADS))
    model = load_token_classifier(encoder, labels=list(labels), seed=seed, dropout=dropout)
    if head == "crf":
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = TaggerWithCRF(model, labels, scheme)
    return Tagger(model, load_tokenizer(encoder), list(labels), scheme, max_length)


def save_tagger(tagger: Tagger) -> Callable[[Path], None]:
    """A function that writes a tagger into a folder that transformers' own pipeline takes too; a CRF in a file beside."""
    from safetensors.torch import save_file

    def write(folder: Path) -> None:
        with_crf = isinstance(tagger.model, TaggerWithCRF)
        (tagger.model.tagger if with_crf else tagger.model).save_pretrained(folder)
        tagger.tokenizer.save_pretrained(folder)
        if with_crf:
            state = {name: value.detach().cpu().contiguous() for name, value in tagger.model.crf.state_dict().items()}
            save_file(state, str(folder / CRF_FILE))

    return write


def load_tagger(folder: Path | str) -> Tagger:
    """The tagger in a folder. Raises UsageError for a folder without one and DataError for one that is damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise UsageError(expected("model", "the folder of a saved tagger", str(folder)))
    notes = read_json(folder / SIDECAR) if (folder / SIDECAR).is_file() else {}
    model = load_token_classifier(str(folder)).eval()
    labels = [model.config.id2label[i] for i in range(model.config.num_labels)]
    try:
        for label in labels:
            split_tag(label)
    except ValueError as error:
        raise DataError(f"The labels of this model are no tags: {error}.", path=folder / "config.json") from None
    scheme = notes.get("scheme", "IOB2")
    if (folder / CRF_FILE).is_file():
        model = TaggerWithCRF(model, labels, scheme).eval()
        try:
            model.crf.load_state_dict(load_file(folder / CRF_FILE))
        except (SafetensorError, RuntimeError) as error:
            raise DataError(f"The CRF cannot be used ({error}). Train it again.", path=folder / CRF_FILE) from None
    return Tagger(model, load_tokenizer(str(folder)), labels, scheme, notes.get("max_length", 128), notes)


def emissions_of(
    model: "nn.Module", tokenizer: "PreTrainedTokenizerBase", inputs: TaggingInputs, n_units: Sequence[int]
) -> list[np.ndarray]:
    """Logits (units, tags) of each sentence, float32, its windows joined again. Puts the model into evaluation mode."""
    import torch

    keep_freed_memory()
    model = model.to(choose_device()).eval()
    rows_of: list[np.ndarray] = [np.empty(0)] * len(inputs.input_ids)
    with torch.no_grad(), autocast():
        for rows, batch in device_batches(inputs.input_ids, tokenizer):
            logits = model(**batch).logits.float().cpu().numpy()
            for row, values in zip(rows, logits, strict=True):
                rows_of[row] = values[inputs.places[row]]
    return join_windows(inputs, rows_of, n_units, model.config.num_labels)


def join_windows(
    inputs: TaggingInputs, answers: Sequence[np.ndarray], n_units: Sequence[int], n_labels: int
) -> list[np.ndarray]:
    """Logits (units, tags) of each sentence, of those that each window answers for, in the order of its ``words``."""
    found = [np.empty((n, n_labels), dtype=np.float32) for n in n_units]
    for sentence, words, values in zip(inputs.sentence, inputs.words, answers, strict=True):
        found[sentence][words] = values
    return found


def decode(model: "nn.Module", emissions: Sequence[np.ndarray], labels: Sequence[str]) -> list[list[str]]:
    """The best tags of each sentence: by unit, or under the model's CRF by path."""
    if not isinstance(model, TaggerWithCRF):
        return [[labels[i] for i in values.argmax(1)] for values in emissions]
    tags: list[list[str]] = [[] for _ in emissions]
    for rows, crf, batch, mask in _crf_batches(model, emissions):
        for i, path in zip(rows, crf.decode(batch, mask), strict=True):
            tags[i] = [labels[tag] for tag in path]
    return tags


def certainty(
    model: "nn.Module",
    emissions: Sequence[np.ndarray],
    tags: Sequence[Sequence[str]],
    labels: Sequence[str],
    *,
    temperature: float = 1.0,
) -> list[np.ndarray]:
    """The probability of each unit's tag: of a softmax over its logits, or under the model's CRF over all paths."""
    chances: list[np.ndarray] = [np.zeros((0, len(labels)))] * len(emissions)
    if isinstance(model, TaggerWithCRF):
        for rows, crf, batch, mask in _crf_batches(model, emissions):
            for i, values in zip(rows, crf.marginals(batch, mask).numpy(), strict=True):
                chances[i] = values
    else:
        chances = [softmax(values / temperature) if len(values) else values for values in emissions]
    number = {label: i for i, label in enumerate(labels)}
    return [
        values[np.arange(len(line)), [number[tag] for tag in line]] if line else np.zeros(0)
        for values, line in zip(chances, tags, strict=True)
    ]


def _crf_batches(model: TaggerWithCRF, emissions: Sequence[np.ndarray]) -> "Iterator[tuple[list[int], CRF, Any, Any]]":
    """Sentences that are not empty, long ones first: their numbers, the CRF on the CPU, emissions and mask (rows, units)."""
    import torch

    crf = copy.deepcopy(model.crf).cpu()
    order = sorted((i for i, values in enumerate(emissions) if len(values)), key=lambda i: -len(emissions[i]))
    for start in range(0, len(order), 64):
        rows = order[start : start + 64]
        lengths = torch.tensor([len(emissions[i]) for i in rows])
        batch = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(emissions[i]) for i in rows], batch_first=True)
        yield rows, crf, batch, torch.arange(batch.shape[1]) < lengths[:, None]
