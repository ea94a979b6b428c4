"""An encoder's vectors, computed once: float16, in shards that are mapped into memory and read a batch at a time.

A cache is keyed by everything that made it: the weights, the tokenizer, the texts, their marking, layer, pooling, longest
input, and the precision. Another key is another folder, so a stale cache is never read; a damaged one is noticed by its
checksums and computed again.
"""

import hashlib
import json
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bioutils.device import autocast, bf16_pays, choose_device, keep_freed_memory
from bioutils.encoders import load_encoder, load_tokenizer, max_tokens
from bioutils.errors import DataError, UsageError, expected
from bioutils.features import cut_ids, device_batches, round_up
from bioutils.files import atomic_path, read_json, sha256, write_json
from bioutils.heads.pooling import POOLING, pool

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

VERSION = 1  # of the files' layout
SHARD_BYTES = 64_000_000  # what an interrupted run loses at most, and what is held in memory while computing
LAST_FOUR = ("last4_mean", "last4_concat")


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """What is kept of a text. ``layer``: -1 the last, 0 the embeddings, … or the mean or concatenation of the last four.

    ``pooling``: "tokens" keeps each token's vector; cls, mean, max, last_sep keep one a text. ``marking`` names what was
    done to the texts before (entity marks): it is part of the key.
    """

    layer: int | str = -1
    pooling: str = "tokens"
    max_length: int = 128
    marking: str = "none"

    def __post_init__(self):
        if self.pooling not in ("tokens", *POOLING):
            raise UsageError(expected("pooling", "a known way", self.pooling, available=("tokens", *POOLING)))
        if isinstance(self.layer, str) and self.layer not in LAST_FOUR:
            raise UsageError(expected("layer", "a number or a known name", self.layer, available=LAST_FOUR))


class Batch(NamedTuple):
    """``vectors`` float32 (rows, tokens, width), or (rows, width) when pooled, and ``mask`` (rows, tokens)."""

    vectors: "torch.Tensor"
    mask: "torch.Tensor"


class Features:
    """Vectors on the disk, mapped: opening reads no vector, ``batch`` copies out only the rows it is asked for."""

    def __init__(self, folder: Path, meta: dict[str, Any]):
        self.folder, self.meta = folder, meta
        self.lengths = np.load(folder / "lengths.npy", allow_pickle=False)  # tokens a text, 1 when pooled
        self.pooled = meta["spec"]["pooling"] != "tokens"
        self.width, self.n_cut, self.n_empty = meta["width"], meta["n_cut"], meta["n_empty"]
        self.shards = [np.load(folder / s["file"], mmap_mode="r", allow_pickle=False) for s in meta["shards"]]
        self.shard_of = np.repeat(np.arange(len(self.shards)), [s["rows"] for s in meta["shards"]])
        ends = np.cumsum(self.lengths)
        before = np.cumsum([0, *(s["tokens"] for s in meta["shards"])])[self.shard_of]
        self.starts = ends - self.lengths - before  # of each text in its shard

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def n_bytes(self) -> int:
        """The size of the vectors on the disk."""
        return sum(shard.nbytes for shard in self.shards)

    def batch(self, rows: Sequence[int] | np.ndarray, *, multiple: int = 8) -> Batch:
        """The texts' vectors, padded with zeros to the longest one's next multiple. Allocates little beside the batch."""
        import torch

        lengths = self.lengths[rows]
        tokens = 1 if self.pooled else round_up(int(lengths.max()), multiple)
        vectors = np.zeros((len(lengths), tokens, self.width), dtype=np.float16)
        for place, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            start = self.starts[row]
            vectors[place, :length] = self.shards[self.shard_of[row]][start : start + length]
        mask = torch.from_numpy((np.arange(tokens) < lengths[:, None]).astype(np.int64))
        out = torch.from_numpy(vectors).float()
        return Batch(out[:, 0] if self.pooled else out, mask)


def digest(parts: Sequence[bytes]) -> str:
    """A SHA-256 over parts whose borders count: ("a", "bc") is not ("ab", "c")."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.hexdigest()


def architecture(model: "PreTrainedModel") -> dict[str, Any]:
    """The settings that the weights do not show but the vectors depend on (number of heads, activation, …)."""
    of_the_machine = ("_name_or_path", "transformers_version", "architectures", "dtype", "torch_dtype")
    settings = {k: v for k, v in model.config.to_dict().items() if k not in of_the_machine}
    return {"class": type(model).__name__, **json.loads(json.dumps(settings, default=str, sort_keys=True))}


def weights_digest(model: "PreTrainedModel") -> str:
    """The name of a model's weights: of their names, shapes and bytes."""
    import torch

    parts = []
    for name, value in sorted(model.state_dict().items()):
        parts += [f"{name}{tuple(value.shape)}{value.dtype}".encode()]
        parts += [value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data]
    return digest(parts)


def encoded_width(model: "PreTrainedModel", layer: int | str) -> int:
    """Numbers a token in the vectors of that layer."""
    return model.config.hidden_size * (4 if layer == "last4_concat" else 1)


def encode(
    model: "PreTrainedModel",
    inputs: "dict[str, torch.Tensor]",
    *,
    layer: int | str,
    pooling: str,
) -> "torch.Tensor":
    """The encoder's vectors of a batch, (rows, tokens, width) or (rows, width), as ``FeatureSpec`` names them."""
    import torch

    if layer == -1:
        vectors = model(**inputs).last_hidden_state
    else:
        states = model(**inputs, output_hidden_states=True).hidden_states  # the embeddings, then each layer
        if isinstance(layer, str) and len(states) < 5:
            raise UsageError(f"{layer} needs an encoder of four layers or more, found {len(states) - 1}.")
        if layer == "last4_mean":
            vectors = torch.stack(states[-4:]).mean(0)
        elif layer == "last4_concat":
            vectors = torch.cat(states[-4:], -1)
        elif -len(states) <= layer < len(states):
            vectors = states[layer]
        else:
            raise UsageError(expected("layer", f"between {-len(states)} and {len(states) - 1}", layer))
    return vectors if pooling == "tokens" else pool(vectors, inputs["attention_mask"], pooling)


def cached_features(
    texts: Sequence[str],
    *,
    encoder: str,
    spec: FeatureSpec,
    folder: Path | str,
    model: "PreTrainedModel | None" = None,
    tokenizer: "PreTrainedTokenizerBase | None" = None,
    input_ids: Sequence[Sequence[int]] | None = None,
    progress: bool = True,
) -> Features:
    """The texts' features from ``folder``, computed first where they are not there, whole and undamaged.

    ``encoder`` is loaded unless ``model`` and ``tokenizer`` are given. Texts longer than ``spec.max_length`` tokens are
    cut, unless ``input_ids`` give their tokens, special ones included; empty ones have their special tokens alone; both are
    counted (``n_cut``, ``n_empty``). An interrupted computation goes on after its last whole shard. Raises UsageError when
    there are no texts, or for a layer or length that the encoder has not.
    """
    if not len(texts):
        raise UsageError("Expected texts to hold one or more, found none.")
    model, tokenizer = model or load_encoder(encoder), tokenizer or load_tokenizer(encoder)
    if spec.max_length > max_tokens(model):
        raise UsageError(expected("max_length", f"at most the {max_tokens(model)} of {encoder}", spec.max_length))
    what = {
        "version": VERSION,
        "architecture": architecture(model),
        "weights": weights_digest(model),
        "tokenizer": digest([tokenizer.backend_tokenizer.to_str().encode()]),
        "texts": digest([text.encode() for text in texts]),
        "bf16": bf16_pays(),
        "spec": asdict(spec),
    }
    if input_ids is not None:
        what["input_ids"] = digest([np.asarray(ids, dtype=np.int64).tobytes() for ids in input_ids])
    place = Path(folder) / digest([json.dumps(what, sort_keys=True).encode()])[:32]
    try:
        return _open(place)
    except FileNotFoundError:
        pass
    except (DataError, ValueError, KeyError, OSError) as error:
        warnings.warn(f"The feature cache {place} is damaged and is computed again: {error}", stacklevel=2)
        shutil.rmtree(place, ignore_errors=True)
    ids, n_cut = (input_ids, []) if input_ids is not None else cut_ids(tokenizer, texts, max_length=spec.max_length)
    counts = {"n_cut": sum(lost > 0 for lost in n_cut), "n_empty": sum(not text.strip() for text in texts)}
    _compute(ids, model, tokenizer, spec, place, what | counts, progress=progress)
    return _open(place)


def _open(place: Path) -> Features:
    """The features in a folder, checksums verified. Raises FileNotFoundError where they are not, or not yet whole."""
    if not (place / "meta.json").is_file():
        raise FileNotFoundError(place)
    meta = read_json(place / "meta.json")
    if not meta["complete"]:
        raise FileNotFoundError(place)
    for file in [*meta["shards"], meta["lengths"]]:
        path = place / file["file"]
        if not path.is_file() or sha256(path) != file["sha256"]:
            raise DataError("Not the bytes that were written.", path=path)
    return Features(place, meta)


def _compute(ids, model, tokenizer, spec: FeatureSpec, place: Path, what: dict, *, progress: bool) -> None:
    """Writes the shards one by one, each whole, and ``meta.json`` after each; shards that are there already are kept."""
    import torch
    from tqdm import tqdm

    keep_freed_memory()
    place.mkdir(parents=True, exist_ok=True)
    pooled = spec.pooling != "tokens"
    lengths = np.ones(len(ids), dtype=np.int64) if pooled else np.array([len(tokens) for tokens in ids])
    with atomic_path(place / "lengths.npy") as temporary:
        np.save(temporary, lengths, allow_pickle=False)
    done = read_json(place / "meta.json")["shards"] if (place / "meta.json").is_file() else []
    done = [s for s in done if (place / s["file"]).is_file() and sha256(place / s["file"]) == s["sha256"]]
    model = model.to(choose_device()).eval()
    width = encoded_width(model, spec.layer)
    facts = {
        **what,
        "width": width,
        "lengths": {"file": "lengths.npy", "sha256": sha256(place / "lengths.npy")},
    }
    shards = []
    bar = tqdm(total=len(ids), unit=" texts", desc="encoding", disable=None if progress else True)
    for number, rows in enumerate(_shard_rows(lengths, width)):
        file = f"shard-{number:04d}.npy"
        known = next((s for s in done if s["file"] == file and s["rows"] == len(rows)), None)
        if known is None:
            part = np.empty((int(lengths[rows].sum()), width), dtype=np.float16)
            starts = np.cumsum(lengths[rows]) - lengths[rows]
            with torch.no_grad(), autocast():
                for batch, inputs in device_batches([ids[row] for row in rows], tokenizer):
                    found = encode(model, inputs, layer=spec.layer, pooling=spec.pooling).float().cpu().numpy()
                    found = np.clip(found, -65504, 65504)  # float16's range: nothing becomes infinite
                    for i, vectors in zip(batch, found, strict=True):
                        length = lengths[rows[i]]
                        part[starts[i] : starts[i] + length] = vectors if pooled else vectors[:length]
            with atomic_path(place / file) as temporary:
                np.save(temporary, part, allow_pickle=False)
            known = {"file": file, "rows": len(rows), "tokens": len(part), "sha256": sha256(place / file)}
        shards.append(known)
        write_json(place / "meta.json", {**facts, "shards": shards, "complete": False})
        bar.update(len(rows))
    bar.close()
    write_json(place / "meta.json", {**facts, "shards": shards, "complete": True})


def _shard_rows(lengths: np.ndarray, width: int) -> list[np.ndarray]:
    """Rows in their order, in shards of about SHARD_BYTES."""
    budget = max(1, SHARD_BYTES // (2 * width))
    which = (np.cumsum(lengths) - 1) // budget
    return np.split(np.arange(len(lengths)), np.flatnonzero(np.diff(which)) + 1)
