"""Reads the variables of a TensorFlow checkpoint (``NAME.index``, ``NAME.data-00000-of-00001``) without TensorFlow.

Format: the tensor bundle, version 2 (tensorflow/core/util/tensor_bundle and protobuf/tensor_bundle.proto). The index is a LevelDB
table (https://github.com/google/leveldb/blob/main/doc/table_format.md): sorted keys in blocks, here names of variables, whose
values are protocol-buffer messages that say where in the data file the numbers lie.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bioutils.errors import DataError, UsageError, expected

MAGIC = bytes.fromhex("57fb808b247547db")
FOOTER = 48  # bytes: two block handles, padded, and the magic number
KINDS = {1: np.float32, 2: np.float64, 3: np.int32, 9: np.int64, 19: np.float16}  # types.proto


class Variable(NamedTuple):
    """Where the numbers of a variable lie."""

    kind: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a block. Keys share their beginnings with the one before."""
    if data[offset + size] != 0:
        raise ValueError("its blocks are compressed")
    block = data[offset : offset + size]
    end = size - 4 * (int.from_bytes(block[-4:], "little") + 1)  # before the restart points and their number
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        rest, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + rest]
        at += rest
        yield key, block[at : at + length]
        at += length


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protocol-buffer message: numbers as they are, the rest as bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        field, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(message, at)
        elif wire == 2:
            length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
            value, at = message[at : at + length], at + length
        else:
            raise ValueError(f"a field of kind {wire}")
        yield field, value


def _variable(message: bytes) -> Variable:
    found: dict[int, int] = {}
    shape: list[int] = []
    for field, value in _fields(message):
        if field == 2:  # TensorShapeProto: a Dim a field 2, its size in field 1
            for inner, dim in _fields(value):
                if inner == 2:
                    shape.append(next((size for number, size in _fields(dim) if number == 1), 0))
        elif isinstance(value, int):
            found[field] = value
    return Variable(found.get(1, 0), tuple(shape), found.get(3, 0), found.get(4, 0), found.get(5, 0))


def read_index(checkpoint: Path | str) -> dict[str, Variable]:
    """The variables of a checkpoint by name. Raises UsageError where there is none, DataError where the index is broken."""
    path = Path(f"{checkpoint}.index")
    if not path.is_file():
        near = sorted(p.name.removesuffix(".index") for p in path.parent.glob("*.index"))
        remedy = "Name it without an ending, as model.ckpt-1000000."
        raise UsageError(
            expected("the checkpoint", "one with an .index file", str(checkpoint), available=near, remedy=remedy)
        )
    data = path.read_bytes()
    try:
        if data[-8:] != MAGIC:
            raise ValueError("it does not end as one")
        footer = data[-FOOTER:]
        _, at = _varint(footer, 0)
        _, at = _varint(footer, at)
        start, at = _varint(footer, at)
        size, _ = _varint(footer, at)
        found = {}
        for _, handle in _block(data, start, size):
            offset, at = _varint(handle, 0)
            length, _ = _varint(handle, at)
            found |= {key.decode(): _variable(value) for key, value in _block(data, offset, length) if key}
    except (IndexError, ValueError) as error:
        raise DataError(f"Not the index of a TensorFlow checkpoint: {error}. Copy it again.", path=path) from None
    return found


def read_variables(checkpoint: Path | str) -> dict[str, np.ndarray]:
    """The numbers of each variable by name, mapped from the data file, not loaded. Raises as ``read_index`` does.

    Strings and other kinds that no weight has are left out.
    """
    index = read_index(checkpoint)
    n_shards = 1 + max((v.shard for v in index.values()), default=0)
    arrays = {}
    for name, variable in index.items():
        if variable.kind not in KINDS:
            continue
        path = Path(f"{checkpoint}.data-{variable.shard:05}-of-{n_shards:05}")
        kind = np.dtype(KINDS[variable.kind]).newbyteorder("<")
        count = int(np.prod(variable.shape, dtype=np.int64))
        if not path.is_file():
            raise DataError("No such file, though the index names it. Copy the whole checkpoint.", path=path)
        if count * kind.itemsize != variable.size or variable.offset + variable.size > path.stat().st_size:
            raise DataError(
                f"{name} does not fit: the file is cut short or of another checkpoint. Copy it again.", path=path
            )
        numbers = np.memmap(path, kind, "r", offset=variable.offset, shape=(count,)) if count else np.empty(0, kind)
        arrays[name] = numbers.reshape(variable.shape)
    return arrays
