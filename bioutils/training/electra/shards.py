"""Token ids packed into rows of equal length, in files that are read without being loaded."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from bioutils.cache import digest
from bioutils.encoders import load_tokenizer
from bioutils.errors import DataError, UsageError, expected
from bioutils.files import read_json, read_lines
from bioutils.training.electra.processes import chunks, in_order

SHARD_ROWS = 65_536  # 16 MB of 128 tokens: few files, and one fits in memory while it is made
CHUNK = 2000  # sentences a task
FACTS = "examples.json"


class Encode:
    """Sentences to token ids without special tokens. Made once a process."""

    def __init__(self, tokenizer_folder: str):
        self.tokenizer = load_tokenizer(tokenizer_folder)

    def __call__(self, sentences: Sequence[str]) -> list[list[int]]:
        """The ids of each sentence; of a blank one, which ends a document, an empty list."""
        return self.tokenizer(list(sentences), add_special_tokens=False, verbose=False)["input_ids"]


def documents_of_ids(text: Path, tokenizer_folder: Path, *, processes: int = 1) -> Iterator[list[list[int]]]:
    """The documents of a cleaned text as lists of sentences, each a list of token ids."""
    lines = (line for _, line in read_lines(text))
    document: list[list[int]] = []
    for ids in itertools.chain.from_iterable(
        in_order(partial(Encode, str(tokenizer_folder)), chunks(lines, CHUNK), processes)
    ):
        if ids:
            document.append(ids)
        elif document:
            yield document
            document = []
    if document:
        yield document


def packed(
    documents: Iterable[list[list[int]]], *, length: int, cls: int, sep: int, pad: int, seed: int
) -> Iterator[list[int]]:
    """Rows [CLS] … [SEP] of exactly ``length`` tokens, all used: text runs on from row to row, [SEP] between documents.

    What does not fill a row at the end is left out.
    """
    room, row = length - 2, []
    for document in documents:
        for ids in ([sep] if row else [], *document):
            row = row + ids
            while len(row) >= room:
                yield [cls, *row[:room], sep]
                row = row[room:]


def paired(
    documents: Iterable[list[list[int]]], *, length: int, cls: int, sep: int, pad: int, seed: int
) -> Iterator[list[int]]:
    """Rows of two segments, [CLS] a [SEP] b [SEP], padded, as the original ELECTRA makes them (build_pretraining_dataset.py).

    Sentences are gathered up to a target length, nearly always the full one, else (0.05) a random one; one time in ten they make
    a single segment; the first segment takes about half of them. What is longer than its place is cut.
    """
    rng = np.random.default_rng(seed)
    room = length - 3

    def targets() -> int:
        return int(rng.integers(5, length + 1)) if rng.random() < 0.05 else length

    def row(sentences: list[list[int]], target: int) -> list[int]:
        first: list[int] = []
        second: list[int] = []
        half = 100_000 if rng.random() < 0.1 else (target - 3) // 2
        for ids in sentences:
            fits = len(first) + len(ids) < half
            if not first or fits or (not second and len(first) < half and rng.random() < 0.5):
                first = first + ids
            else:
                second = second + ids
        first = first[: length - 2]
        second = second[: max(0, room - len(first))]
        ids = [cls, *first, sep, *second, sep] if second else [cls, *first, sep]
        return ids + [pad] * (length - len(ids))

    for document in documents:
        sentences: list[list[int]] = []
        target = targets()
        for ids in document:
            sentences.append(ids)
            if sum(map(len, sentences)) >= target:
                yield row(sentences, target)
                sentences, target = [], targets()
        if sentences:
            yield row(sentences, target)


FORMS = {"packed": packed, "pairs": paired}


class ShardWriter:
    """Rows to ``<part>-00000.npy`` and so on, of unsigned 16-bit numbers where the vocabulary allows."""

    def __init__(self, folder: Path, part: str, *, vocab_size: int):
        self.folder, self.part = folder, part
        self.kind = np.uint16 if vocab_size <= 1 << 16 else np.uint32
        self.rows: list[list[int]] = []
        self.n_rows = self.n_shards = 0

    def add(self, row: list[int]) -> None:
        """Adds a row; writes a shard when it is full."""
        self.rows.append(row)
        if len(self.rows) == SHARD_ROWS:
            self.flush()

    def flush(self) -> None:
        """Writes what is there."""
        if self.rows:
            np.save(self.folder / f"{self.part}-{self.n_shards:05}.npy", np.array(self.rows, dtype=self.kind))
            self.n_rows += len(self.rows)
            self.n_shards += 1
            self.rows = []


class Examples:
    """The rows of a built folder, opened without being read: ``rows(part, numbers)`` takes what is asked for.

    Raises DataError where files are missing or of another size than ``examples.json`` says.
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        if not (self.folder / FACTS).is_file():
            raise UsageError(
                f"{self.folder} holds no examples. "
                f"Build them: python -m bioutils.training.electra build TEXT… --out {self.folder}."
            )
        self.facts: dict[str, Any] = read_json(self.folder / FACTS)
        for part in ("train", "validation"):
            found = sum(len(shard) for shard in self._shards[part])
            if found != self.facts[f"{part}_rows"]:
                raise DataError(
                    expected(f"rows of {part}", self.facts[f"{part}_rows"], found, remedy="Build the examples again."),
                    path=self.folder,
                )

    @cached_property
    def _shards(self) -> dict[str, list[np.ndarray]]:
        return {
            part: [np.load(path, mmap_mode="r") for path in sorted(self.folder.glob(f"{part}-*.npy"))]
            for part in ("train", "validation")
        }

    def tokenizer(self):
        """The tokenizer that made them."""
        return load_tokenizer(str(self.folder))

    def rows(self, part: str, numbers: np.ndarray) -> np.ndarray:
        """Token ids (rows, tokens) of int64."""
        shards = self._shards[part]
        ends = np.cumsum([len(shard) for shard in shards])
        which = np.searchsorted(ends, numbers, side="right")
        found = np.empty((len(numbers), self.facts["length"]), dtype=np.int64)
        for number in np.unique(which):
            here = which == number
            found[here] = shards[number][np.asarray(numbers)[here] - (ends[number] - len(shards[number]))]
        return found


def vocabulary_digest(tokenizer) -> str:
    """A short name of a vocabulary: its pieces in their order."""
    return digest([piece.encode() for piece in sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)])[:16]
