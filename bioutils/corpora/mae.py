"""MAE's XML: a text, its tags with values, and links between tags, one annotator a file.

MAE (Stubbs 2011; https://github.com/keighrim/mae-annotation): the root element names the task; under it TEXT, and TAGS with an
element a tag, ``<CATEGORY id spans="12~20,31~40" text …/>``, whose further attributes are its values. An element without spans
is a link: each attribute that ends in ID names a tag, the same attribute with Text repeats its words.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from xml.etree.ElementTree import ParseError
from xml.sax.saxutils import escape

from bioutils.corpora.archives import read_files
from bioutils.corpora.records import (
    Document,
    Link,
    Remark,
    Span,
    check_documents,
    counts,
    one_task,
    pmid,
    same_words,
    slice_of,
    values_of,
)
from bioutils.errors import DataError, UsageError, expected
from bioutils.files import atomic_writer

OWN = ("id", "spans", "text")  # attributes that every tag has; the others are values
TASK = "Annotation"  # the root element of documents that name no task, and so none where it is read
# Line ends and tabs of a value are written as references: as such a reader takes them for blanks.
ESCAPED = {'"': "&quot;", "'": "&apos;", "\n": "&#10;", "\t": "&#9;", "\r": "&#13;"}
PIECE = re.compile(r"(\d+)~(\d+)")
UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # XML 1.0 has no way to write these
# Less than XML allows: no colon, which would begin a namespace, no letters beyond ASCII, on which editions of XML differ, and not
# the names that begin with xml, which are its own.
NAME = re.compile(r"(?![Xx][Mm][Ll])[A-Za-z_][A-Za-z0-9_.-]*")


def read_mae(
    source: Path | str, *, under: str = "", task: str = "", group: Callable[[str], str] = pmid
) -> list[Document]:
    """The documents of a file, folder or archive, named by their files, every span checked against its text.

    Tags are spans, their values remarks (type: the attribute, target: the span), links are links with a role a member. ``task``:
    the root element's name, by default whatever the first file has: files of two tasks are not read as one; the documents
    keep it. ``group``: the abstract of a file's name. Raises DataError, with every offender (the first of many), for what is
    broken.
    """
    source, documents = Path(source), []
    files = (
        [(source.name, source.read_bytes())] if source.suffix == ".xml" else read_files(source, (".xml",), under=under)
    )
    for name, content in files:
        document = parse(content, name=Path(name).stem, group=group, path=source / name)
        found = document.task or TASK
        if task and found != task:
            raise DataError(
                f"The task is {found!r}, not {task!r} as elsewhere. Give files of one task.", path=source / name
            )
        task = found
        documents.append(document)
    return check_documents(documents, source=source)


def check(root: Path, *, sample: bool = False) -> dict[str, object]:
    """Counts of every folder of files under ``root``, each read whole: copies of a text lie in several. Raises DataError."""
    source = root if sample else root / "mae-xml.tar.gz"
    folders = sorted({str(Path(name).parent) for name, _ in read_files(source, (".xml",))})
    found: dict[str, object] = {}
    for folder in folders:
        numbers = counts(read_mae(source, under=f"{folder}/")) if not sample else counts(read_mae(source / folder))
        found |= {f"{Path(folder).name}, {what}": n for what, n in numbers.items() if n}
    return found


def parse(content: bytes, *, name: str, group: Callable[[str], str] = pmid, path: Path | str = "") -> Document:
    """The document of one file's bytes. Raises DataError, with ``path`` and, where it is known, the line of what is broken."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    parser, promised = DefusedXMLParser(forbid_dtd=False), []
    # ElementTree itself tells of a DOCTYPE only where it names an outer file.
    parser.parser.StartDoctypeDeclHandler = lambda name, *_: promised.append(name)
    try:
        parser.feed(content)
        root = parser.close()
    except ParseError as error:
        raise DataError(f"Not XML: {error}. Export it again.", path=path, line=error.position[0]) from None
    except DefusedXmlException as error:
        raise DataError(f"XML that defines entities is not read ({type(error).__name__}).", path=path) from None
    if promised not in ([], [root.tag]):
        raise DataError(
            f"The DOCTYPE names the task {promised[0]!r}, the root element is {root.tag!r}. Make them agree.",
            path=path, line=_line(content, rb"<!DOCTYPE"),
        )  # fmt: skip
    text, tags = root.find("TEXT"), root.find("TAGS")
    if text is None or tags is None:
        raise DataError(f"No {'TEXT' if text is None else 'TAGS'} under {root.tag}: not a file of MAE.", path=path)
    if len(text):
        remedy = "Put the text in CDATA, or write &lt; for <: offsets count what it says."
        raise DataError(expected("TEXT", "text alone", f"<{text[0].tag}> in it", remedy=remedy), path=path)
    words = text.text or ""
    spans, remarks, links = [], [], []
    for element in tags:
        fields = element.attrib
        if "id" not in fields:
            raise DataError(f"A {element.tag} has no id.", path=path)
        if "spans" in fields:
            spans.append(_span(element.tag, fields, words, path))
            values = ((key, value) for key, value in fields.items() if key not in OWN)
            remarks += [Remark(f"{fields['id']}.{key}", key, fields["id"], value) for key, value in values]
            continue
        slots = [(key.removesuffix("ID"), value) for key, value in fields.items() if key.endswith("ID")]
        if not slots:
            what = "a tag with spans, or a link with attributes that end in ID"
            raise DataError(
                expected(f"{element.tag} {fields['id']}", what, sorted(fields), remedy="Correct the attribute's name."),
                path=path, line=_line(content, rb"<%b\b[^>]*\sid\s*=\s*[\"']%b[\"']", element.tag, fields["id"]),
            )  # fmt: skip
        # A slot may be empty: nothing is named there.
        links.append(Link(fields["id"], element.tag, tuple((role, target) for role, target in slots if target)))
    return Document(
        name, words, tuple(spans), (), tuple(links), tuple(remarks), group(name), "" if root.tag == TASK else root.tag
    )


def _line(content: bytes, pattern: bytes, *names: str) -> int | None:
    """The line on which a pattern, with names put in, is first found; none in a file of another encoding."""
    found = re.search(pattern % tuple(re.escape(name.encode()) for name in names), content)
    return content.count(b"\n", 0, found.start()) + 1 if found else None


def _span(category: str, fields: dict[str, str], words: str, path: Path | str) -> Span:
    found = [PIECE.fullmatch(piece.strip()) for piece in fields["spans"].split(",")]
    if not all(found):
        raise DataError(
            f"{fields['id']}: spans={fields['spans']!r} are no places. Expected 12~20 or 12~20,31~40.", path=path
        )
    pieces = tuple((int(match[1]), int(match[2])) for match in found)
    there = slice_of(words, pieces)
    stated = fields.get("text", there)
    # Pieces are joined by three full stops; a line break of the text is a blank in the attribute.
    inside = all(0 <= start < end <= len(words) for start, end in pieces)
    right = same_words("...".join(words[start:end] for start, end in pieces), stated)
    return Span(fields["id"], category, pieces, there if right or not inside else stated)


def write_mae(documents: Iterable[Document], folder: Path | str, *, task: str = "") -> list[Path]:
    """A file a document, named by its id; ``read_mae`` gives the same documents back, relations aside, which MAE has not.

    ``task``: the root element's name, by default the documents' own. Raises UsageError where they have several, and for a
    task that is no name in XML; DataError as ``to_mae``.
    """
    documents, written = list(documents), []
    task = task or one_task({"": documents}) or TASK
    for document in documents:
        path = Path(folder) / f"{document.id}.xml"
        if document.relations:
            raise DataError(f"{document.id}: MAE has links, no relations. Write brat or JSON lines.", path=path)
        content = to_mae(document, task=task)
        with atomic_writer(path) as stream:
            stream.write(content)
        written.append(path)
    return written


def to_mae(document: Document, *, task: str = "") -> str:
    """The file's text, which ``parse`` reads back.

    Raises UsageError for a task that is no name in XML, and DataError for what XML or MAE cannot hold: some control characters;
    types, attributes and roles that are no names in XML; a link without members; notes on links, and two of one name.
    """
    task = task or document.task or TASK
    if not NAME.fullmatch(task):
        remedy = "Letters, digits, '_', '-' and '.', a letter or '_' first."
        raise UsageError(expected("task", "a name in XML", task, remedy=remedy))
    values, words = values_of(document), {}
    _check_notes(document)
    lines = ['<?xml version="1.0" encoding="UTF-8" ?>', "", f"<{task}>"]
    # Readers of XML make "\r\n" one character, which would shift all offsets behind it; a reference stays, outside of CDATA.
    text = _holdable(document.text, document).replace("]]>", "]]]]><![CDATA[>").replace("\r", "]]>&#13;<![CDATA[")
    lines.append(f"<TEXT><![CDATA[{text}]]></TEXT>")
    lines.append("<TAGS>")
    for span in document.spans:
        pieces = (document.text[start:end] for start, end in span.pieces)
        words[span.id] = re.sub(r"[\n\r\t]", " ", " ... ".join(pieces))
        places = ",".join(f"{start}~{end}" for start, end in span.pieces)
        fields = {"id": span.id, "spans": places, "text": words[span.id], **values.get(span.id, {})}
        lines.append(_element(span.type, fields, document))
    for link in document.links:
        if not link.members or len({role for role, _ in link.members}) < len(link.members):
            what = "a link with members, each in a role of its own"
            raise DataError(expected(f"{document.id}: {link.id}", what, link.members, remedy="Leave it out."))
        fields = {"id": link.id}
        for role, target in link.members:
            fields |= {f"{role}ID": target, f"{role}Text": words.get(target, "")}
        lines.append(_element(link.type, fields, document))
    return "\n".join([*lines, "</TAGS>", f"</{task}>"])


def _check_notes(document: Document) -> None:
    spans, there = {span.id for span in document.spans}, set()
    for x in document.remarks:
        if x.target not in spans or x.type in OWN or (x.target, x.type) in there:
            what = f"a value of a tag, its only one of the name, none of {', '.join(OWN)}"
            raise DataError(
                expected(f"{document.id}: {x.id}", what, f"{x.type} of {x.target}", remedy="Leave it out or rename it.")
            )
        there.add((x.target, x.type))


def _element(name: str, fields: dict[str, str], document: Document) -> str:
    for given in (name, *fields):
        if not NAME.fullmatch(given):
            what = "written with names of XML (letters, digits, '_', '-' and '.', a letter or '_' first)"
            raise DataError(expected(f"{document.id}: {fields['id']}", what, given, remedy="Rename it."))
    return f"<{name} {' '.join(f'{key}={_quoted(value, document)}' for key, value in fields.items())} />"


def _quoted(value: str, document: Document) -> str:
    """As MAE writes it: always in double quotes, both quotes escaped."""
    return f'"{escape(_holdable(value, document), ESCAPED)}"'


def _holdable(text: str, document: Document) -> str:
    if bad := UNWRITABLE.search(text):
        raise DataError(
            f"{document.id}: the character {bad[0]!r} at {bad.start()} of {text[:40]!r} has no place in XML. Take it out."
        )
    return text
