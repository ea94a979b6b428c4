"""Raw text of many files to clean sentences, a line each, documents apart: what was dropped is counted by reason."""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from bioutils.corpora.pubmed import read_abstracts
from bioutils.errors import DataError, UsageError, expected
from bioutils.files import atomic_writer, open_bytes, read_lines, reading
from bioutils.text import sentences, word_count
from bioutils.training.electra.near_copies import TextIndex
from bioutils.training.electra.processes import chunks, in_order

LONGEST_LINE = 100_000  # characters: no paragraph is that long, so the line ends of the file are lost
JSON_LINES = (".jsonl", ".ndjson")
CHUNK = 500  # lines or abstracts a task: large enough that handing it over costs nothing
FEWEST_WORDS = 3  # a heading or a list's number teaches nothing about words in context
REASONS = {
    "empty": "nothing left after cleaning",
    "short": f"fewer than {FEWEST_WORDS} words",
    "few letters": "less than half of the characters are letters",
    "repeated": "the same sentence again",
    "near copy": "nearly copies a text that is left out",
}


class Piece(NamedTuple):
    """A line or an abstract of a document, numbered over all files."""

    document: int
    text: str


# Control, zero-width, direction, private-use and surrogate characters, the soft hyphen and the byte-order mark.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ud800-\uf8ff\ufeff]")
LETTER = re.compile(r"[^\W\d_]")


def clean(text: str) -> str:
    """The text in Unicode's composed form (NFC), without characters that do not show, each white space one blank.

    >>> clean("IL\\u200b-2\\tgene \\x07")
    'IL-2 gene'
    """
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    return " ".join(UNSEEN.sub("", text).split())


def read_pieces(paths: Sequence[Path], *, blank_lines: bool = True) -> Iterator[Piece]:
    """The text of all files in order. Plain text: a piece a line; where ``blank_lines`` a blank line ends a document,
    else the file is one. JSON lines and PubMed XML: an abstract, title first, is a document; so is a JSON line's ``text``, of
    which a line is a piece.

    Raises DataError, with file and line, for a binary file, one that is not UTF-8, an empty one and a text without line ends.
    """
    document = 0
    for path in paths:
        kind = _kind(path)
        if kind != "lines":
            for texts in _abstracts(path) if kind == "abstracts" else _texts(path):
                document += 1
                yield from (Piece(document, text) for text in texts)
            continue
        document += 1
        for number, line in read_lines(path):
            if line.strip():
                yield Piece(document, _short_enough(line, path, line=number))
            elif blank_lines:
                document += 1


def _short_enough(text: str, path: Path, *, name: str = "A line", line: int | None = None) -> str:
    """The text. Raises DataError where it is so long that no sentence would be found in it."""
    if len(text) > LONGEST_LINE:
        told = f"{name} of {len(text):,} characters. Put a line break after each sentence or paragraph."
        raise DataError(told, path=path, line=line)
    return text


def _abstracts(path: Path) -> Iterator[list[str]]:
    for abstract in read_abstracts(path):
        texts = [text for text in (abstract.title, abstract.text) if text]
        yield [_short_enough(text, path, name=f"Abstract {abstract.id} has a text") for text in texts]


def _texts(path: Path) -> Iterator[list[str]]:
    """Of each JSON line the title, where it has one, and the lines of its text."""
    for number, line in read_lines(path):
        if not line.strip():
            continue
        row = _json(line)
        if (
            not isinstance(row, dict)
            or not all(isinstance(row.get(k, ""), str) for k in ("title", "text"))
            or "text" not in row
        ):
            found = sorted(row) if isinstance(row, dict) else line[:40]
            raise DataError(expected("the line", "an object with a text", found), path=path, line=number)
        lines = [row.get("title", ""), *row["text"].split("\n")]
        yield [_short_enough(text, path, name="A text", line=number) for text in lines if text.strip()]


def _json(line: str) -> Any:
    """The value of a line, or None where it is no JSON."""
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None


def _kind(path: Path) -> str:
    """ "abstracts", "texts" (JSON lines that are no abstracts) or "lines": by the file's ending, and by content where it says
    nothing. Raises DataError for a binary file, UsageError for a folder."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder. Name its files, for example {path}/*.txt.")
    with reading(path), open_bytes(path) as stream:
        head = stream.read(4096)
    if b"\x00" in head:
        raise DataError("A binary file, not text. Give plain text, JSON lines or PubMed XML.", path=path)
    suffix = (Path(path.stem) if path.suffix == ".gz" else path).suffix.lower()
    if suffix == ".txt":  # whatever it begins with: "{" may be a sentence's first character
        return "lines"
    start = head.decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n")
    if suffix in JSON_LINES or (suffix != ".xml" and start.startswith("{")):
        first = _json(next((line for _, line in read_lines(path) if line.strip()), ""))
        text = isinstance(first, dict) and "text" in first and not {"abstract", "sections"} & first.keys()
        return "texts" if text else "abstracts"
    return "abstracts" if start.startswith(("<?xml", "<!DOCTYPE", "<Pub")) or suffix == ".xml" else "lines"


class Cleaner:
    """Pieces to sentences worth learning from, and why the others are not. Made once a process."""

    def __init__(self, index: TextIndex):
        self.index = index

    def __call__(self, pieces: Sequence[Piece]) -> tuple[list[tuple[int, str]], Counter]:
        """(document, sentence) in order, and the number of sentences dropped by reason."""
        kept: list[tuple[int, str]] = []
        dropped: Counter = Counter()
        for document, text in pieces:
            if not (text := clean(text)):
                dropped["empty"] += 1
                continue
            for sentence in (span.text for span in sentences(text)):
                if word_count(sentence) < FEWEST_WORDS:
                    dropped["short"] += 1
                elif 2 * len(LETTER.findall(sentence)) < len(sentence):
                    dropped["few letters"] += 1
                else:
                    kept.append((document, sentence))
        copies = self.index.copied([sentence for _, sentence in kept])
        dropped["near copy"] += sum(copies)
        return [row for row, copy in zip(kept, copies, strict=True) if not copy], dropped


def write_clean(
    paths: Sequence[Path], out: Path, *, leave_out: Iterable[str] = (), blank_lines: bool = True, processes: int = 1,
    progress: bool = True,
) -> dict[str, int]:  # fmt: skip
    """Writes ``out``, a sentence a line and a blank line between documents, and returns the counts of the report.

    The file is the same for any number of processes. Raises UsageError where no sentence is left.
    """
    from tqdm import tqdm

    counts: Counter = Counter(dict.fromkeys(["documents", "sentences", "words", *REASONS], 0))
    seen: set[bytes] = set()
    last = None
    pieces = chunks(read_pieces(paths, blank_lines=blank_lines), CHUNK)
    work = in_order(partial(Cleaner, TextIndex(leave_out)), pieces, processes)
    with (
        atomic_writer(out) as stream,
        tqdm(unit=" sentences", desc="cleaning", disable=None if progress else True) as bar,
    ):
        for rows, dropped in work:
            counts.update(dropped)
            for document, sentence in rows:
                name = hashlib.blake2b(sentence.lower().encode(), digest_size=8).digest()
                if name in seen:
                    counts["repeated"] += 1
                    continue
                seen.add(name)
                if document != last:
                    stream.write("" if last is None else "\n")
                    counts["documents"] += 1
                    last = document
                stream.write(sentence + "\n")
                counts["sentences"] += 1
                counts["words"] += word_count(sentence)
            bar.update(len(rows))
        if not counts["sentences"]:
            raise UsageError(expected("input", "text with sentences", f"none kept: {dict(counts)}"))
    return dict(counts)
