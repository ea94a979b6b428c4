"""Abstracts from the files people have: PubMed XML, MEDLINE, RIS, JSON lines, CSV, TSV and plain text.

Formats: PubMed DTD (https://dtd.nlm.nih.gov/ncbi/pubmed), MEDLINE field descriptions
(https://www.nlm.nih.gov/bsd/mms/medlineelements.html), RIS (Research Information Systems).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from bioutils.corpora.records import Document
from bioutils.errors import DataError, UsageError, expected
from bioutils.files import open_bytes, reading

READS = "PubMed XML, MEDLINE .nbib, RIS, JSON lines, CSV, TSV, plain text; each also gzipped"


@dataclass(frozen=True)
class Section:
    """A part of an abstract: ``text[start:end]``, under ``label`` where the abstract is structured."""

    label: str | None
    start: int
    end: int


@dataclass(frozen=True)
class Abstract:
    """One record. ``text`` is empty for a record without an abstract."""

    id: str
    title: str
    text: str
    sections: tuple[Section, ...] = ()


def from_sections(identifier: str, title: str, parts: Sequence[tuple[str | None, str]]) -> Abstract:
    """An Abstract whose text is the parts joined by one blank, each part a Section.

    >>> from_sections("1", "T", [("AIM", "To see."), ("RESULTS", "Seen.")]).sections[1]
    Section(label='RESULTS', start=8, end=13)
    """
    sections, text = [], ""
    for label, part in parts:
        part = " ".join(part.split())
        if part:
            start = len(text) + bool(text)
            text += (" " if text else "") + part
            sections.append(Section(label, start, len(text)))
    return Abstract(identifier, " ".join(title.split()), text, tuple(sections))


def read_abstracts(path: Path | str, *, columns: dict[str, str] | None = None) -> Iterator[Abstract]:
    """The records of a file, one at a time in constant memory; the format is told by content, then by suffix.

    ``columns`` maps ``id``, ``title`` and ``abstract`` to a table's own column names. Raises DataError, with file and
    line, for a broken file, and UsageError for a folder or an unknown format.
    """
    from bioutils.corpora import abstract_formats as formats

    path = Path(path)
    if path.is_dir():
        raise UsageError(f"{path} is a folder. Name its files, for example {path}/*.xml.")
    with reading(path), open_bytes(path) as stream:
        head = stream.read(4096).decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n")
    suffix = (Path(path.stem) if path.suffix == ".gz" else path).suffix.lower()
    if head.startswith("<"):
        return formats.pubmed_xml(path)
    if any(line.startswith("PMID-") for line in head.splitlines()[:5]):
        return formats.medline(path)
    if head.startswith("TY  -"):
        return formats.ris(path)
    if suffix in (".csv", ".tsv"):
        return formats.table(path, separator="\t" if suffix == ".tsv" else ",", columns=columns or {})
    if suffix in (".jsonl", ".ndjson") or head.startswith("{"):
        return formats.json_lines(path)
    if suffix == ".txt":
        return formats.plain_text(path)
    if suffix in (".xml", ".nbib", ".ris"):
        raise DataError(f"Does not look like {suffix[1:]}: it begins with {head[:40]!r}. Export it again.", path=path)
    raise UsageError(expected("input", f"one of {READS}", path.name))


def check_inputs(paths: Iterable[Path]) -> None:
    """Raises UsageError for what is no file: a wrong name at the end of a list is told before hours of work, not after."""
    for path in paths:
        if not path.is_file():
            raise UsageError(expected("input", "a file", str(path), remedy="Check the path."))


def read_in_chunks(paths: Iterable[Path], *, columns: dict[str, str] | None, size: int) -> Iterator[list[Abstract]]:
    """The records of several files, at most ``size`` at a time; a chunk is of one file."""
    for path in paths:
        stream = read_abstracts(path, columns=columns)
        while chunk := list(islice(stream, size)):
            yield chunk


def numbered(abstract: Abstract, seen: Counter[str]) -> Abstract:
    """The abstract, with a number behind an id that was ``seen`` before: no document replaces another."""
    seen[abstract.id] += 1
    return abstract if seen[abstract.id] == 1 else replace(abstract, id=f"{abstract.id}-{seen[abstract.id]}")


def as_document(abstract: Abstract) -> Document:
    """The title, a line break, the text: what offsets count in. An abstract without a title is its text."""
    text = f"{abstract.title}\n{abstract.text}" if abstract.title else abstract.text
    return Document(abstract.id, text, group=abstract.id)
