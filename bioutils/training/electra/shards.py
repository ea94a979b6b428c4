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
AGAIN = "Build the examples again."


class Encode:
    """Sentences to token ids without special tokens. Made once a process."""

    def __init__(self, tokenizer_folder: str):
        self.tokenizer = load_tokenizer(tokenizer_folder)

    def __call__(self, sentences: Sequence[str]) -> list[list[int]]:
        """The ids of each sentence; of a blank one, which ends a document, an empty list.

        A "[MASK]" or "[SEP]" that is written in the text is text: a row's special tokens are ours alone.
        """
        encoded = self.tokenizer(
            list(sentences), add_special_tokens=False, split_special_tokens=True, verbose=False
        )  # fmt: skip
        return encoded["input_ids"]


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

    Raises DataError, naming the file, where one is missing, damaged or of another size than ``examples.json`` says.
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        if not (self.folder / FACTS).is_file():
            raise UsageError(
                f"{self.folder} holds no examples. "
                f"Build them: python -m bioutils.training.electra build TEXT… --out {self.folder}."
            )
        self.facts: dict[str, Any] = read_json(self.folder / FACTS)
        wanted = {"vocabulary": str} | dict.fromkeys(("length", "vocab_size", "train_rows", "validation_rows"), int)
        facts = self.facts if isinstance(self.facts, dict) else {}
        for name, kind in wanted.items():
            if not isinstance(facts.get(name), kind):
                what = "a whole number" if kind is int else "text"
                raise DataError(expected(name, what, facts.get(name), remedy=AGAIN), path=self.folder / FACTS)
        for part in ("train", "validation"):
            found = sum(len(shard) for shard in self._shards[part])
            if found != self.facts[f"{part}_rows"]:
                raise DataError(
                    expected(f"rows of {part}", self.facts[f"{part}_rows"], found, remedy=AGAIN), path=self.folder
                )

    @cached_property
    def _shards(self) -> dict[str, list[np.ndarray]]:
        return {
            part: [self._open(path) for path in sorted(self.folder.glob(f"{part}-*.npy"))]
            for part in ("train", "validation")
        }

    def _open(self, path: Path) -> np.ndarray:
        try:
            shard = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"The shard is cut or damaged ({error}). {AGAIN}", path=path) from None
        if shard.ndim != 2 or shard.shape[1] != self.facts["length"] or shard.dtype.kind != "u":
            what, found = f"rows of {self.facts['length']} token ids", f"{shard.dtype} {shard.shape}"
            raise DataError(expected("the shard", what, found, remedy=AGAIN), path=path)
        return shard

    def tokenizer(self):
        """The tokenizer that made them. Raises DataError where another lies in its place."""
        tokenizer = load_tokenizer(str(self.folder))
        if (found := vocabulary_digest(tokenizer)) != self.facts["vocabulary"]:
            what = f"the one that made the rows ({self.facts['vocabulary']})"
            raise DataError(expected("the vocabulary", what, found, remedy=AGAIN), path=self.folder / "tokenizer.json")
        return tokenizer

    def rows(self, part: str, numbers: np.ndarray) -> np.ndarray:
        """Token ids (rows, tokens) of int64. Raises DataError for an id beyond the vocabulary."""
        shards = self._shards[part]
        ends = np.cumsum([len(shard) for shard in shards])
        which = np.searchsorted(ends, numbers, side="right")
        found = np.empty((len(numbers), self.facts["length"]), dtype=np.int64)
        for number in np.unique(which):
            here = which == number
            found[here] = shards[number][np.asarray(numbers)[here] - (ends[number] - len(shards[number]))]
        if found.size and found.max() >= self.facts["vocab_size"]:
            what = f"below the vocabulary's {self.facts['vocab_size']}"
            told = expected(f"token ids of {part}", what, int(found.max()), remedy=AGAIN)
            raise DataError(told, path=self.folder)
        return found


def vocabulary_digest(tokenizer) -> str:
    """A short name of a vocabulary: its pieces in their order."""
    return digest([piece.encode() for piece in sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)])[:16]
