"""Annotated documents, the one form that every relation and entity corpus is read into, and what must hold in them.

Offsets count characters of ``Document.text`` from 0, the end exclusive, as in brat.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bioutils.errors import DataError, UsageError
from bioutils.files import atomic_writer, read_lines

SHOWN = 20  # offenders named in an error; the rest are counted


@dataclass(frozen=True)
class Span:
    """A stretch of text with a type; several ``pieces`` (start, end) where it is interrupted, in the annotator's order."""

    id: str
    type: str
    pieces: tuple[tuple[int, int], ...]
    text: str

    @property
    def start(self) -> int:
        """Where its first piece in the text begins."""
        return min(start for start, _ in self.pieces)

    @property
    def end(self) -> int:
        """Where its last piece in the text ends."""
        return max(end for _, end in self.pieces)


@dataclass(frozen=True)
class Relation:
    """A directed pair of spans (or of links), by their ids. ``roles`` are the arguments' names in the file."""

    id: str
    type: str
    first: str
    second: str
    roles: tuple[str, str] = ("Arg1", "Arg2")


@dataclass(frozen=True)
class Link:
    """Any number of members, each (role, id): an event (its trigger first), an equivalence, an n-ary relation."""

    id: str
    type: str
    members: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Remark:
    """A note, attribute or normalisation about a span, relation or link (``target``)."""

    id: str
    type: str
    target: str
    value: str = ""


@dataclass(frozen=True)
class Document:
    """A text and what was annotated in it. ``group``: what must not be split, the abstract a sentence is from; ``task``: what its
    annotators were asked for, the root element of MAE."""

    id: str
    text: str
    spans: tuple[Span, ...] = ()
    relations: tuple[Relation, ...] = ()
    links: tuple[Link, ...] = ()
    remarks: tuple[Remark, ...] = ()
    group: str = ""
    task: str = ""

    def span(self, span_id: str) -> Span:
        """The span of that id. Raises KeyError."""
        return self._by_id()[span_id]

    def _by_id(self) -> dict[str, Span]:
        found = self.__dict__.get("_spans")
        if found is None:
            found = {span.id: span for span in self.spans}
            object.__setattr__(self, "_spans", found)  # frozen, so it stays true
        return found


def slice_of(text: str, pieces: Sequence[tuple[int, int]]) -> str:
    """The text of the pieces, joined by one blank.

    >>> slice_of("CYP2C9*2 and *3", [(0, 6), (13, 15)])
    'CYP2C9 *3'
    """
    return " ".join(text[start:end] for start, end in pieces)


def pmid(name: str) -> str:
    """The abstract's number in a file's name, by which copies of several annotators are recognised; else the name.

    >>> pmid("101_PMID32788173.txt_CC2"), pmid("note-7")
    ('32788173', 'note-7')
    """
    found = re.search(r"PMID(\d+)", name)
    return found[1] if found else name


def same_words(found: str, stated: str) -> bool:
    """Whether two texts are equal but for white space, in which files of the same corpus differ."""
    return "".join(found.split()) == "".join(stated.split())


def problems(document: Document) -> list[str]:
    """Every way in which a document is not sound: empty when it is.

    Ids are unique; each span lies inside the text, is more than white space, and its text is its slice; relations, links and
    remarks name what exists.
    """
    found = []
    ids = [x.id for x in (*document.spans, *document.relations, *document.links, *document.remarks)]
    found += [f"the id {name} stands {n} times" for name, n in Counter(ids).items() if n > 1]
    size = len(document.text)
    for span in document.spans:
        if not span.pieces:
            found.append(f"{span.id} has no piece of text")
        elif any(not 0 <= start < end <= size for start, end in span.pieces):
            found.append(f"{span.id} at {list(span.pieces)} does not lie inside the text of {size} characters")
        elif not slice_of(document.text, span.pieces).strip():
            found.append(f"{span.id} at {list(span.pieces)} holds white space alone")
        elif (there := slice_of(document.text, span.pieces)) != span.text:
            found.append(f"{span.id} is given as {span.text!r}, but the text at {list(span.pieces)} is {there!r}")
    targets = {x.id for x in (*document.spans, *document.links)}
    for relation in document.relations:
        missing = [end for end in (relation.first, relation.second) if end not in targets]
        if missing:
            found.append(f"{relation.id} ({relation.type}) names {', '.join(missing)}, which is not there")
    known = set(ids)
    for link in document.links:
        missing = [target for _, target in link.members if target not in known]
        if missing:
            found.append(f"{link.id} ({link.type}) names {', '.join(missing)}, which is not there")
    found += [f"{x.id} is about {x.target}, which is not there" for x in document.remarks if x.target not in known]
    return found


def check_documents(documents: Iterable[Document], *, source: Path | str) -> list[Document]:
    """The documents, all sound and with ids of their own. Raises DataError that names every offender (the first of many)."""
    documents = list(documents)
    offenders = [f"{document.id}: {problem}" for document in documents for problem in problems(document)]
    twice = [name for name, n in Counter(document.id for document in documents).items() if n > 1]
    offenders += [f"the document {name} is there more than once" for name in twice]
    if offenders:
        more = f"\n  … and {len(offenders) - SHOWN} more" if len(offenders) > SHOWN else ""
        raise DataError(
            f"{len(offenders)} fault{'s' if len(offenders) > 1 else ''} in the annotation. Mend the files, or leave "
            "these documents out:\n  " + "\n  ".join(offenders[:SHOWN]) + more,
            path=source,
        )
    return documents


def one_task(parts: Mapping[str, Iterable[Document]]) -> str:
    """The one task of all documents that name any, "" where none does; brat and word JSON name none and so go with every task.

    Raises UsageError for several, with the part that each is of: another task asks for other things, even under equal names.
    """
    found: dict[str, str] = {}
    for part, documents in parts.items():
        for document in documents:
            if document.task:
                found.setdefault(document.task, part or document.id)
    if len(found) > 1:
        tasks = ", ".join(f"{task} ({part})" for task, part in found.items())
        remedy = "If they are one and the same, rename one: bioutils convert IN OUT --to mae --task NAME."
        raise UsageError(f"Expected documents of one task, found {tasks}. {remedy}")
    return next(iter(found), "")


def mended(document: Document) -> Document:
    """The document with each span's text taken from its offsets: for corpora whose few wrong texts are known."""
    spans = tuple(replace(span, text=slice_of(document.text, span.pieces)) for span in document.spans)
    return replace(document, spans=spans)


def values_of(document: Document) -> dict[str, dict[str, str]]:
    """Id of a span, relation or link → the values of its remarks by their types; who has none is not there."""
    found: dict[str, dict[str, str]] = {}
    for remark in document.remarks:
        found.setdefault(remark.target, {})[remark.type] = remark.value
    return found


def counts(documents: Iterable[Document]) -> dict[str, Any]:
    """What a check prints: documents, groups, spans and relations by type, discontinuous spans."""
    documents = list(documents)
    spans = [span for document in documents for span in document.spans]
    return {
        "documents": len(documents),
        "groups": len({document.group or document.id for document in documents}),
        "spans": len(spans),
        "discontinuous": sum(len(span.pieces) > 1 for span in spans),
        "relations": sum(len(document.relations) for document in documents),
        **{f"span {t}": n for t, n in Counter(span.type for span in spans).most_common()},
        **{f"relation {t}": n for t, n in Counter(r.type for d in documents for r in d.relations).most_common()},
        **{f"link {t}": n for t, n in Counter(link.type for d in documents for link in d.links).most_common()},
    }


def write_jsonl(documents: Iterable[Document], path: Path | str) -> None:
    """One document a line, everything kept; ``read_jsonl`` gives the same documents back."""
    with atomic_writer(path) as stream:
        for document in documents:
            stream.write(json.dumps(asdict(document), ensure_ascii=False) + "\n")


def read_jsonl(path: Path | str) -> list[Document]:
    """The documents that ``write_jsonl`` wrote. Raises DataError with the line of what is none, and on unsound ones."""
    documents = []
    for number, line in read_lines(path):
        try:
            documents.append(_document(json.loads(line)))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"Not a document ({type(error).__name__}: {error}).", path=path, line=number) from None
    return check_documents(documents, source=path)


def _document(raw: dict[str, Any]) -> Document:
    pieces = [{**span, "pieces": tuple((int(a), int(b)) for a, b in span["pieces"])} for span in raw.get("spans", ())]
    return Document(
        id=raw["id"],
        text=raw["text"],
        spans=tuple(Span(**span) for span in pieces),
        relations=tuple(Relation(**{**r, "roles": tuple(r["roles"])}) for r in raw.get("relations", ())),
        links=tuple(Link(x["id"], x["type"], tuple((a, b) for a, b in x["members"])) for x in raw.get("links", ())),
        remarks=tuple(Remark(**remark) for remark in raw.get("remarks", ())),
        group=raw.get("group", ""),
        task=raw.get("task", ""),
    )
