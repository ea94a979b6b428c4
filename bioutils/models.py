"""Saved classifiers of every kind, loaded by what their folder holds: a whole model, a frozen encoder's head, an adapter."""

import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from bioutils.cache import FeatureSpec, encode, encoded_width, weights_digest
from bioutils.encoders import load_classifier, load_encoder, load_tokenizer, max_tokens
from bioutils.errors import DataError, UsageError, expected
from bioutils.files import read_json
from bioutils.heads.classification import make_head

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SIDECAR = "bioutils.json"  # in every model's folder: what scoring needs beside weights and tokenizer
HEAD, ADAPTER = "head.safetensors", "adapter_model.safetensors"
OWN_ENCODER = "encoder"
KINDS = {"config.json": "a whole model", HEAD: "a head on a frozen encoder", ADAPTER: "an adapter"}


class HeadedClassifier(nn.Module):
    """A head on an encoder, in the form of a classifier of transformers (``.config``, ``.logits``).

    ``frozen``: only the head trains, the encoder stays in evaluation mode.
    """

    def __init__(
        self, encoder: "PreTrainedModel", head: nn.Module, labels: list[str], spec: FeatureSpec, *, frozen: bool = True
    ):
        super().__init__()
        self.encoder, self.head, self.spec, self.frozen = encoder.requires_grad_(not frozen), head, spec, frozen
        self.config = SimpleNamespace(
            num_labels=len(labels),
            id2label=dict(enumerate(labels)),
            max_position_embeddings=max_tokens(encoder),
        )

    def train(self, mode: bool = True) -> "HeadedClassifier":
        """Into training mode, a frozen encoder excepted."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **places: torch.Tensor) -> SimpleNamespace:
        """``.logits`` (rows, labels) of token ids and mask (rows, tokens), and for heads that ask for them ``places``."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        vectors = encode(self.encoder, inputs, layer=self.spec.layer, pooling=self.spec.pooling)
        return SimpleNamespace(
            logits=self.head(vectors, attention_mask, **(places if getattr(self.head, "places", False) else {}))
        )


class Loaded(NamedTuple):
    """A classifier, its tokenizer, its labels in the order of its outputs, and its ``bioutils.json`` ({} without one)."""

    model: nn.Module
    tokenizer: "PreTrainedTokenizerBase"
    labels: list[str]
    notes: dict[str, Any]


def is_saved_model(folder: Path) -> bool:
    """True for a folder that ``load_model`` takes."""
    return any((folder / file).is_file() for file in KINDS)


def weights_file(folder: Path) -> Path:
    """The file of a saved classifier that holds what was trained."""
    return next((folder / f for f in (HEAD, ADAPTER) if (folder / f).is_file()), folder / "model.safetensors")


def head_notes(
    head: str, options: dict, labels: list[str], encoder: str, model: "PreTrainedModel", spec: FeatureSpec
) -> dict:
    """What ``load_model`` must know about a saved head beside its weights."""
    return {
        "head": head, "options": options, "labels": labels, "encoder": encoder, "encoder_weights": weights_digest(model),
        "width": encoded_width(model, spec.layer), "spec": asdict(spec),
    }  # fmt: skip


def load_model(folder: Path | str) -> Loaded:
    """The classifier in ``folder``. Adapters are merged into their encoder, so they score as fast as a whole model.

    Raises UsageError for a folder without a model, DataError for a head or adapter that is damaged or was trained on
    other weights than those its encoder's name stands for here.
    """
    folder = Path(folder)
    if not is_saved_model(folder):
        raise UsageError(expected("model", f"a folder with one of {list(KINDS)}", str(folder)))
    notes = read_json(folder / SIDECAR) if (folder / SIDECAR).is_file() else {}
    if (folder / HEAD).is_file():
        return _load_head(folder, notes)
    if (folder / ADAPTER).is_file():
        return _load_adapter(folder, notes)
    model = load_classifier(str(folder))
    labels = [model.config.id2label[i] for i in range(model.config.num_labels)]
    return Loaded(model, load_tokenizer(str(folder)), labels, notes)


def _need(folder: Path, notes: dict, *names: str) -> None:
    if missing := [name for name in names if name not in notes]:
        raise DataError(f"The notes lack {missing}. Train the model again.", path=folder / SIDECAR)


def _check_encoder(folder: Path, notes: dict, model: nn.Module) -> None:
    found = weights_digest(model)
    if found != notes["encoder_weights"]:
        message = expected(f"weights of {notes['encoder']}", notes["encoder_weights"][:12], found[:12])
        raise DataError(f"{message} This model was trained on another encoder. Train it again.", path=folder)


def _load_head(folder: Path, notes: dict) -> Loaded:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    _need(folder, notes, "head", "options", "labels", "encoder", "encoder_weights", "width", "spec")
    own = folder / OWN_ENCODER  # trained with the head, and saved beside it
    source = str(own) if own.is_dir() else notes["encoder"]
    encoder = load_encoder(source)
    if not own.is_dir():
        _check_encoder(folder, notes, encoder)
    head = make_head(notes["head"], notes["width"], len(notes["labels"]), **notes["options"])
    try:
        head.load_state_dict(load_file(folder / HEAD))
    except (SafetensorError, RuntimeError) as error:
        raise DataError(f"The head's weights cannot be used ({error}). Train it again.", path=folder / HEAD) from None
    model = HeadedClassifier(encoder, head, notes["labels"], FeatureSpec(**notes["spec"])).eval()
    return Loaded(model, load_tokenizer(source), notes["labels"], notes)


def _load_adapter(folder: Path, notes: dict) -> Loaded:
    from peft import PeftModel
    from safetensors import SafetensorError

    _need(folder, notes, "labels", "encoder", "encoder_weights")
    base = load_classifier(notes["encoder"], labels=notes["labels"])
    _check_encoder(folder, notes, base.base_model)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by a name that is going out of use
            model = PeftModel.from_pretrained(base, str(folder)).merge_and_unload().eval()
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise DataError(f"The adapter cannot be used ({error}). Train it again.", path=folder / ADAPTER) from None
    return Loaded(model, load_tokenizer(notes["encoder"]), notes["labels"], notes)


def save_head(head: nn.Module) -> Callable[[Path], None]:
    """A function that writes the head's weights into a folder."""
    from safetensors.torch import save_file

    state = {name: value.detach().cpu().contiguous() for name, value in head.state_dict().items()}
    return lambda folder: save_file(state, str(folder / HEAD))


def save_headed(model: HeadedClassifier, tokenizer: "PreTrainedTokenizerBase") -> Callable[[Path], None]:
    """A function that writes an encoder trained under a head, its tokenizer and the head into a folder."""

    def write(folder: Path) -> None:
        model.encoder.save_pretrained(folder / OWN_ENCODER)
        tokenizer.save_pretrained(folder / OWN_ENCODER)
        save_head(model.head)(folder)

    return write


def save_adapter(model: nn.Module, encoder: str) -> Callable[[Path], None]:
    """A function that writes a peft model's adapter, in safetensors, with the encoder's name in place of its path."""

    def write(folder: Path) -> None:
        model.peft_config["default"].base_model_name_or_path = encoder
        model.save_pretrained(folder, save_embedding_layers=False)  # "auto" would ask the hub
        (folder / "README.md").unlink(missing_ok=True)  # peft's empty form of a card

    return write
