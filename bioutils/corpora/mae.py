"""MAE's XML: a text, its tags with values, and links between tags, one annotator a file.

MAE (Stubbs 2011; https://github.com/keighrim/mae-annotation): the root element names the task; under it TEXT, and TAGS with an
element a tag, ``<CATEGORY id spans="12~20,31~40" text …/>``, whose further attributes are its values. An element without spans
is a link: each attribute that ends in ID names a tag, the same attribute with Text repeats its words.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from xml.sax.saxutils import escape

from bioutils.corpora.archives import read_files
from bioutils.corpora.records import (
    Document,
    Link,
    Remark,
    Span,
    check_documents,
    counts,
    pmid,
    same_words,
    slice_of,
    values_of,
)
from bioutils.errors import DataError
from bioutils.files import atomic_writer

OWN = ("id", "spans", "text")  # attributes that every tag has; the others are values
QUOTES = {'"': "&quot;", "'": "&apos;"}
PIECE = re.compile(r"(\d+)~(\d+)")
UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # XML 1.0 has no way to write these


def read_mae(
    source: Path | str, *, under: str = "", task: str = "", group: Callable[[str], str] = pmid
) -> list[Document]:
    """The documents of a file, folder or archive, named by their files, every span checked against its text.

    Tags are spans, their values remarks (type: the attribute, target: the span), links are links with a role a member. ``task``:
    the root element's name, by default whatever the first file has: files of two tasks are not read as one. ``group``: the
    abstract of a file's name. Raises DataError, with every offender (the first of many), for what is broken.
    """
    source, documents = Path(source), []
    files = (
        [(source.name, source.read_bytes())] if source.suffix == ".xml" else read_files(source, (".xml",), under=under)
    )
    for name, content in files:
        found, document = parse(content, name=Path(name).stem, group=group, path=source / name)
        if task and found != task:
            raise DataError(
                f"The task is {found!r}, not {task!r} as elsewhere. Give files of one task.", path=source / name
            )
        task = task or found
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


def parse(
    content: bytes, *, name: str, group: Callable[[str], str] = pmid, path: Path | str = ""
) -> tuple[str, Document]:
    """The task and the document of one file's bytes. Raises DataError, with ``path`` and line where XML itself is broken."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException, ElementTree

    try:
        root = ElementTree.fromstring(content, forbid_dtd=False)
    except ParseError as error:
        raise DataError(f"Not XML: {error}. Export it again.", path=path, line=error.position[0]) from None
    except DefusedXmlException as error:
        raise DataError(f"XML that defines entities is not read ({type(error).__name__}).", path=path) from None
    text, tags = root.find("TEXT"), root.find("TAGS")
    if text is None or tags is None:
        raise DataError(f"No {'TEXT' if text is None else 'TAGS'} under {root.tag}: not a file of MAE.", path=path)
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
        else:  # a slot may be empty: nothing is named there
            members = ((key.removesuffix("ID"), value) for key, value in fields.items() if key.endswith("ID") and value)
            links.append(Link(fields["id"], element.tag, tuple(members)))
    return root.tag, Document(name, words, tuple(spans), (), tuple(links), tuple(remarks), group(name))


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


def write_mae(documents: Iterable[Document], folder: Path | str, *, task: str) -> list[Path]:
    """A file a document, named by its id; ``read_mae`` gives the same documents back, relations aside, which MAE has not."""
    written = []
    for document in documents:
        path = Path(folder) / f"{document.id}.xml"
        if document.relations:
            raise DataError(f"{document.id}: MAE has links, no relations. Write brat or JSON lines.", path=path)
        content = to_mae(document, task=task)
        with atomic_writer(path) as stream:
            stream.write(content)
        written.append(path)
    return written


def to_mae(document: Document, *, task: str) -> str:
    """The file's text. Raises DataError for characters that XML cannot hold."""
    if bad := UNWRITABLE.search(document.text):
        raise DataError(f"{document.id}: the character {bad[0]!r} at {bad.start()} has no place in XML. Take it out.")
    values = values_of(document)
    words = {}
    lines = ['<?xml version="1.0" encoding="UTF-8" ?>', "", f"<{task}>"]
    lines.append(f"<TEXT><![CDATA[{document.text.replace(']]>', ']]]]><![CDATA[>')}]]></TEXT>")
    lines.append("<TAGS>")
    for span in document.spans:
        pieces = (document.text[start:end] for start, end in span.pieces)
        words[span.id] = re.sub(r"[\n\r\t]", " ", " ... ".join(pieces))
        places = ",".join(f"{start}~{end}" for start, end in span.pieces)
        fields = {"id": span.id, "spans": places, "text": words[span.id], **values.get(span.id, {})}
        lines.append(_element(span.type, fields))
    for link in document.links:
        fields = {"id": link.id}
        for role, target in link.members:
            fields |= {f"{role}ID": target, f"{role}Text": words.get(target, "")}
        lines.append(_element(link.type, fields))
    return "\n".join([*lines, "</TAGS>", f"</{task}>"])


def _element(name: str, fields: dict[str, str]) -> str:
    return f"<{name} {' '.join(f'{key}={_quoted(value)}' for key, value in fields.items())} />"


def _quoted(value: str) -> str:
    """As MAE writes it: always in double quotes, both quotes escaped."""
    return f'"{escape(value, QUOTES)}"'
