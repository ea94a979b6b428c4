"""brat standoff (brat.nlplab.org/standoff.html): a .txt beside one or several of .ann, .a1, .a2, in a folder or an archive."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from bioutils.corpora.archives import decoded, read_files
from bioutils.corpora.records import Document, Link, Relation, Remark, Span, check_documents, same_words, slice_of
from bioutils.errors import DataError, expected
from bioutils.files import atomic_path

ANNOTATIONS = (".ann", ".a1", ".a2")
WHITE = re.compile(r"\s")
LINE_BREAK = re.compile(r"\r\n|\r|\n")


def read_brat(source: Path | str, *, under: str = "", group: Callable[[str], str] = str) -> list[Document]:
    """The documents of a folder, .zip or .tar.gz, sorted by name, all sound.

    ``under``: only paths that hold this text; ``group``: a document's name → its abstract. Lines T, E, R, A, M, N, * and #
    are kept. Where the stated text of a span differs from its slice in white space alone, the slice counts; where a text
    has CRLF, offsets may count it as one or two. Raises DataError naming file and line of what is not brat, an .ann without its
    .txt, and every offender against ``records.problems``.
    """
    texts: dict[str, str] = {}
    notes: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, content in read_files(source, (".txt", *ANNOTATIONS), under=under):
        stem, ending = name.rsplit(".", 1)
        where = f"{source}/{name}"
        if ending == "txt":
            texts[stem] = decoded(content, where)
        else:
            notes[stem].append((where, decoded(content, where)))
    if lonely := [where for stem, files in notes.items() if stem not in texts for where, _ in files]:
        raise DataError(f"{len(lonely)} without the .txt that it annotates: {lonely[:5]}. Put it beside.", path=source)
    documents = []
    for stem in sorted(texts):
        document = PurePosixPath(stem).name
        documents.append(parse(texts[stem], notes[stem], id=document, group=group(document)))
    return check_documents(documents, source=source)


def parse(text: str, notes: Iterable[tuple[str, str]], *, id: str, group: str = "") -> Document:
    """One document of its text and its annotation files (name, content). Raises DataError with file and line."""
    lines = [
        (where, number, line)
        for where, content in notes
        for number, line in enumerate(LINE_BREAK.split(content), 1)
        if line.strip()
    ]
    document = _document(text, lines, id, group)
    if "\r\n" in text and _misfits(document):  # offsets that count a line end once, whatever the file has
        other = _document(text.replace("\r\n", "\n"), lines, id, group)
        if _misfits(other) < _misfits(document):
            return other
    return document


def _misfits(document: Document) -> int:
    return sum(slice_of(document.text, span.pieces) != span.text for span in document.spans)


def _document(text: str, lines: list[tuple[str, int, str]], id: str, group: str) -> Document:
    spans, relations, links, remarks = [], [], [], []
    for where, number, line in lines:
        fields = line.split("\t")
        try:
            match line[0]:
                case "T":
                    spans.append(_span(fields, text))
                case "R":
                    relations.append(_relation(fields))
                case "E":
                    links.append(_event(fields))
                case "*":
                    kind, *members = fields[1].split()
                    links.append(Link(f"*{len(links) + 1}", kind, tuple(("", member) for member in members)))
                case "A" | "M":
                    kind, target, *value = fields[1].split(" ")
                    remarks.append(Remark(fields[0], kind, target, " ".join(value)))
                case "N" | "#":
                    kind, target, *value = fields[1].split(" ")
                    rest = [" ".join(value)] * bool(value) + fields[2:]
                    remarks.append(Remark(fields[0], kind, target, "\t".join(rest)))
                case _:
                    raise ValueError("a line of brat begins with T, E, R, A, M, N, * or #")
        except (ValueError, IndexError) as error:
            raise DataError(f"Not brat: {line!r} ({error}).", path=where, line=number) from None
    return Document(id, text, tuple(spans), tuple(relations), tuple(links), tuple(remarks), group)


def _span(fields: list[str], text: str) -> Span:
    """``T1<tab>Type 0 4;8 10<tab>text``."""
    name, place, stated = fields[0], fields[1], "\t".join(fields[2:])
    if len(fields) < 3:
        raise ValueError("expected three columns: id, type with offsets, text")
    kind, offsets = place.split(" ", 1)
    pieces = tuple((int(start), int(end)) for start, end in (piece.split() for piece in offsets.split(";")))
    there = slice_of(text, pieces)
    return Span(name, kind, pieces, there if same_words(there, stated) else stated)


def _relation(fields: list[str]) -> Relation:
    """``R1<tab>type Arg1:T1 Arg2:T2``."""
    kind, *arguments = fields[1].split()
    if len(arguments) != 2:
        raise ValueError("expected two arguments")
    (role, first), (other, second) = (argument.split(":", 1) for argument in arguments)
    return Relation(fields[0], kind, first, second, (role, other))


def _event(fields: list[str]) -> Link:
    """``E1<tab>Type:T1 Role:T2 …``: the trigger first, under its type."""
    members = [tuple(member.split(":", 1)) for member in fields[1].split()]
    if any(len(member) != 2 for member in members):
        raise ValueError("expected Role:Id")
    return Link(fields[0], members[0][0], tuple(members))


def write_brat(documents: Iterable[Document], folder: Path | str) -> list[Path]:
    """A .txt and an .ann a document, named by its id; ``read_brat`` gives the same documents back, groups aside.

    Raises DataError for an id that is no file name, and for annotations that brat cannot hold (``to_ann``).
    """
    folder, written = Path(folder), []
    for document in documents:
        if not document.id or PurePosixPath(document.id).name != document.id or "\0" in document.id:
            raise DataError(f"The id {document.id!r} cannot be a file's name. Give the document another.", path=folder)
        for path, content in ((f"{document.id}.txt", document.text), (f"{document.id}.ann", to_ann(document))):
            with atomic_path(folder / path) as temporary:
                temporary.write_bytes(content.encode("utf-8"))
            written.append(folder / path)
    return written


def to_ann(document: Document) -> str:
    """The annotation lines of a document. Line breaks and tabs inside a span's text become blanks, as brat has them.

    Raises DataError for what a line cannot hold: a type or role with white space or a colon, a value with a line break or, of an
    attribute, a tab, an event without a trigger.
    """
    lines = []
    for span in document.spans:
        place = ";".join(f"{start} {end}" for start, end in span.pieces)
        lines.append(f"{span.id}\t{_word(span.type)} {place}\t{WHITE.sub(' ', span.text)}")
    for r in document.relations:
        lines.append(f"{r.id}\t{_word(r.type)} {r.roles[0]}:{r.first} {r.roles[1]}:{r.second}")
    for link in document.links:
        if link.id.startswith("*"):
            lines.append(f"*\t{_word(link.type)} " + " ".join(target for _, target in link.members))
        elif not link.members:
            raise DataError(
                expected(
                    f"{document.id}: {link.id}", "a link with members", "none", remedy="Leave it out: brat has no such."
                )
            )
        else:
            lines.append(f"{link.id}\t" + " ".join(f"{_word(role)}:{target}" for role, target in link.members))
    for x in document.remarks:
        if re.search(r"[\r\n]" if x.id[0] in "#N" else r"[\r\n\t]", x.value):
            what = "a value on one line" + ("" if x.id[0] in "#N" else ", without a tab")
            raise DataError(expected(f"{document.id}: {x.id}", what, x.value, remedy="Put blanks in their place."))
        if x.id[0] in "#":
            lines.append(f"{x.id}\t{_word(x.type)} {x.target}\t{x.value}")
        elif x.id[0] == "N":
            reference, _, name = x.value.partition("\t")
            lines.append(f"{x.id}\t{_word(x.type)} {x.target} {reference}" + (f"\t{name}" if name else ""))
        else:
            lines.append(f"{x.id}\t{_word(x.type)} {x.target} {x.value}".rstrip(" "))
    return "".join(line + "\n" for line in lines)


def _word(name: str) -> str:
    if not name or re.search(r"[\s:]", name):
        raise DataError(f"{name!r} cannot be a type or role in brat: no white space, no colon. Rename it.")
    return name
