"""One reader a format, each a generator of Abstracts; ``pubmed.read_abstracts`` chooses among them."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from bioutils.corpora.pubmed import Abstract, from_sections
from bioutils.errors import DataError, expected
from bioutils.files import open_bytes, read_lines, reading

RECORDS = ("PubmedArticle", "PubmedBookArticle", "MedlineCitation")
# "BACKGROUND: " and the like in running text; capitals of four letters or more, so that "DNA: " is no label.
LABEL = re.compile(r"(?:^|(?<=[.?!)] ))([A-Z][A-Z /&,-]{3,60}): ")


def pubmed_xml(path: Path) -> Iterator[Abstract]:
    """The records of a PubMed or MEDLINE XML file. Entity declarations are refused: they can make a small file huge."""
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    found, depth = 0, 0
    with reading(path), open_bytes(path) as stream:
        try:
            events = iterparse(stream, events=("start", "end"))
            _, root = next(events)
            for event, element in events:
                if element.tag not in RECORDS:
                    continue
                depth += 1 if event == "start" else -1
                if event == "end" and depth == 0:  # a MedlineCitation inside a PubmedArticle is no record of its own
                    found += 1
                    yield _xml_record(element, path, found)
                    root.clear()
        except ParseError as error:
            raise DataError(
                f"Not well-formed XML: {error}. Export it again.", path=path, line=error.position[0]
            ) from None
        except DefusedXmlException as error:
            raise DataError(
                f"Refused: the XML declares entities ({error}). PubMed's files do not.", path=path
            ) from None
        if not found and root.tag in RECORDS:
            found += 1
            yield _xml_record(root, path, found)
    if not found:
        raise DataError(expected("the file", f"PubMed records ({', '.join(RECORDS)})", root.tag), path=path)


def _text(element: Element | None) -> str:
    """All text inside, markup dropped and its content kept."""
    return "" if element is None else "".join(element.itertext())


def _xml_record(record: Element, path: Path, number: int) -> Abstract:
    identifier = _text(record.find(".//PMID")).strip()
    if not identifier:
        raise DataError(f"Record {number} has no PMID. Export it again.", path=path)
    title = record.find(".//ArticleTitle")
    if title is None:
        title = record.find(".//BookTitle")
    abstract = record.find(".//Abstract")  # not OtherAbstract, which holds translations
    parts = [] if abstract is None else abstract.findall("AbstractText")
    return from_sections(identifier, _text(title), [(part.get("Label") or None, _text(part)) for part in parts])


def _labelled(text: str) -> list[tuple[str | None, str]]:
    """The labelled parts of an abstract in which labels stand in the text; one part where there are fewer than two."""
    marks = list(LABEL.finditer(text))
    if len(marks) < 2 or marks[0].start() != 0:
        return [(None, text)]
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return [(mark[1], text[mark.end() : end]) for mark, end in zip(marks, ends, strict=True)]


def medline(path: Path) -> Iterator[Abstract]:
    """The records of a MEDLINE file (PubMed's ``.nbib``): ``TAG - value``, continued by six blanks, ended by a blank line."""
    for start, fields in _tagged(path, re.compile(r"([A-Z]{2,4}) *- ?(.*)"), first="PMID"):
        identifier = fields.get("PMID", [""])[0].split()
        if not identifier:
            raise DataError("Expected a record to begin with PMID. Export it again.", path=path, line=start)
        title = (fields.get("TI") or fields.get("BTI") or [""])[0]
        yield from_sections(identifier[0], title, _labelled((fields.get("AB") or [""])[0]))


def ris(path: Path) -> Iterator[Abstract]:
    """The records of a RIS file (``TY  - `` to ``ER  - ``); the id is AN, ID, DO or, failing these, the record's number."""
    for number, (_, fields) in enumerate(_tagged(path, re.compile(r"([A-Z][A-Z0-9])  - ?(.*)"), first="TY"), 1):
        one = {tag: values[0] for tag, values in fields.items() if values[0]}
        identifier = next((one[tag] for tag in ("AN", "ID", "DO") if tag in one), f"{path.stem}-{number}")
        title = next((one[tag] for tag in ("TI", "T1") if tag in one), "")
        text = next((one[tag] for tag in ("AB", "N2") if tag in one), "")
        yield from_sections(identifier, title, _labelled(text))


def _tagged(path: Path, tag: re.Pattern[str], *, first: str) -> Iterator[tuple[int, dict[str, list[str]]]]:
    """Pairs (first line's number, tag → values) of a file of tagged lines; each record begins with the tag ``first``."""
    fields: dict[str, list[str]] = {}
    start, last = 0, ""
    for number, line in read_lines(path):
        match = tag.fullmatch(line)
        if match:
            last = match[1]
            if last == first:
                if fields:
                    yield start, fields
                fields, start = {}, number
            elif not fields:
                raise DataError(
                    f"Expected a record to begin with {first}, found {line[:40]!r}.", path=path, line=number
                )
            fields.setdefault(last, []).append(match[2].strip())
        elif line.strip():
            if not fields:
                raise DataError(
                    f"Expected `{first}  - …`, found {line[:40]!r}. Export it again.", path=path, line=number
                )
            fields[last][-1] = f"{fields[last][-1]} {line.strip()}".strip()
    if fields:
        yield start, fields


def json_lines(path: Path) -> Iterator[Abstract]:
    """One object a line: ``id`` (or ``pmid``), ``title``, and ``abstract`` or ``sections`` (objects with label, text)."""
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"Not JSON: {error.msg}. One object a line is expected.", path=path, line=number) from None
        if (
            not isinstance(row, dict)
            or not ({"id", "pmid"} & row.keys())
            or not ({"abstract", "sections"} & row.keys())
        ):
            found = sorted(row) if isinstance(row, dict) else type(row).__name__
            raise DataError(
                expected("the line", "an object with id, title and abstract", found), path=path, line=number
            )
        try:
            parts = (
                [(p.get("label"), p["text"]) for p in row["sections"]]
                if "sections" in row
                else [(None, row["abstract"] or "")]
            )
            yield from_sections(str(row.get("id", row.get("pmid"))), row.get("title") or "", parts)
        except (AttributeError, KeyError, TypeError) as error:
            raise DataError(
                f"Expected text in title, abstract and sections: {error}.", path=path, line=number
            ) from None


def table(path: Path, *, separator: str, columns: dict[str, str]) -> Iterator[Abstract]:
    """The rows of a CSV or TSV file with a header: columns ``id`` or ``pmid``, ``title``, ``abstract`` or ``text``."""
    csv.field_size_limit(1 << 24)  # a full text in a cell is long, not broken
    lines: Iterator[str] = (line + "\n" for _, line in read_lines(path))
    rows = csv.DictReader(lines, delimiter=separator, strict=True)
    names = {name.strip().lower(): name for name in rows.fieldnames or []}
    chosen: dict[str, str | None] = {}
    for field, usual in {"id": ("id", "pmid"), "title": ("title",), "abstract": ("abstract", "text")}.items():
        wanted = (columns[field].strip().lower(),) if field in columns else usual
        chosen[field] = next((names[name] for name in wanted if name in names), None)
        if chosen[field] is None and (field != "title" or field in columns):
            remedy = f"Name it: --column {field}=NAME."
            raise DataError(
                expected("the header", f"with {' or '.join(wanted)}", list(names), remedy=remedy), path=path, line=1
            )
    try:
        for row in rows:
            if None in row or None in row.values():
                raise DataError(f"Expected {len(names)} cells, as in the header.", path=path, line=rows.line_num)
            title = row[chosen["title"]] if chosen["title"] else ""
            yield from_sections(row[chosen["id"]], title, [(None, row[chosen["abstract"]])])
    except csv.Error as error:
        raise DataError(f"Not a valid table: {error}.", path=path, line=rows.line_num) from None


def plain_text(path: Path) -> Iterator[Abstract]:
    """The whole file as one abstract, its line breaks kept; the id is the file's name without its suffixes."""
    text = "\n".join(line for _, line in read_lines(path)).strip()
    yield Abstract(path.name.split(".")[0], "", text)
