"""Taggers: an encoder that gives each unit of a text a tag, with or without a CRF; saved, loaded, and put to work."""

import copy
from collections.abc import Callable, Sequence
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
        inputs = tagging_inputs(sentences, self.tokenizer, max_length=self.max_length)
        emissions = emissions_of(self.model, self.tokenizer, inputs, [len(s) for s in sentences])
        temperature = float((self.notes or {}).get("temperature", 1.0))
        return decode(self.model, emissions, self.labels, temperature=temperature)

    def tag_words(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """Each sentence's words' tags."""
        units = [units_of(words) for words in sentences]
        tags, _ = self.tag_units([u.units for u in units])
        return [to_word_tags(found, u, self.scheme) for found, u in zip(tags, units, strict=True)]


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
    found = [np.empty((n, model.config.num_labels), dtype=np.float32) for n in n_units]
    with torch.no_grad(), autocast():
        for rows, batch in device_batches(inputs.input_ids, tokenizer):
            logits = model(**batch).logits.float().cpu().numpy()
            for row, values in zip(rows, logits, strict=True):
                found[inputs.sentence[row]][inputs.words[row]] = values[inputs.places[row]]
    return found


def decode(
    model: "nn.Module", emissions: Sequence[np.ndarray], labels: Sequence[str], *, temperature: float = 1.0
) -> tuple[list[list[str]], list[np.ndarray]]:
    """The best tags of each sentence and the probability of each: by token, or under the model's CRF by path."""
    import torch

    if not isinstance(model, TaggerWithCRF):
        tags = [[labels[i] for i in values.argmax(1)] for values in emissions]
        return tags, [softmax(values / temperature).max(1) if len(values) else np.zeros(0) for values in emissions]
    tags, sure = [[] for _ in emissions], [np.zeros(0)] * len(emissions)
    order = sorted((i for i, values in enumerate(emissions) if len(values)), key=lambda i: -len(emissions[i]))
    crf = copy.deepcopy(model.crf).cpu()
    for start in range(0, len(order), 64):
        rows = order[start : start + 64]
        lengths = [len(emissions[i]) for i in rows]
        batch = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(emissions[i]) for i in rows], batch_first=True)
        mask = torch.arange(batch.shape[1]) < torch.tensor(lengths)[:, None]
        paths, marginals = crf.decode(batch, mask), crf.marginals(batch, mask).numpy()
        for i, path, chance in zip(rows, paths, marginals, strict=True):
            tags[i] = [labels[tag] for tag in path]
            sure[i] = chance[np.arange(len(path)), path]
    return tags, sure
