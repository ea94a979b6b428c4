"""BioC JSON (Comeau et al. 2013, as PubTator writes it): a collection of documents of passages with annotations."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bioutils.corpora.records import Document, Link, Relation, Remark, Span, check_documents, pmid
from bioutils.errors import DataError
from bioutils.files import atomic_writer, read_json

FORM = "form"  # the infon by which a link of two members is told from a relation


def write_bioc(documents: Iterable[Document], path: Path | str, *, source: str = "") -> Counter[str]:
    """One passage a line of a document's text, or one for all where a span crosses a line or the spans are in another order.

    Remarks become infons; links are relations of several nodes, marked as such; a group that the id does not tell, and the task,
    are infons of the document. ``read_bioc`` gives the same back, ids of remarks aside. Returns what had no place: infons have
    one value a name, and ``type`` (of relations also ``form``) is taken.
    """
    lost: Counter[str] = Counter()
    collection = {
        "source": source,
        "date": "",
        "key": "",
        "infons": {},
        "documents": [_to_bioc(d, lost) for d in documents],
    }
    with atomic_writer(path) as stream:
        json.dump(collection, stream, ensure_ascii=False, indent=1)
        stream.write("\n")
    return lost


def _infons(document: Document, lost: Counter[str]) -> dict[str, dict[str, str]]:
    """Id → the infons that its remarks become. ``lost``: those that cannot."""
    spans = {x.id for x in document.spans}
    found: dict[str, dict[str, str]] = {x.id: {} for x in (*document.spans, *document.relations, *document.links)}
    for x in document.remarks:
        if x.target not in found:
            lost["notes on notes"] += 1
        elif x.type == "type" or (x.type == FORM and x.target not in spans):
            lost[f"notes named {x.type}"] += 1
        elif x.type in found[x.target]:
            lost["second notes of one name"] += 1
        else:
            found[x.target][x.type] = x.value
    return found


def _to_bioc(document: Document, lost: Counter[str]) -> dict[str, Any]:
    infons = _infons(document, lost)
    passages, offset = [], 0
    rows = [[document.text.count("\n", 0, place) for place in (s.start, s.end)] for s in document.spans]
    by_line = rows == sorted(rows) and all(first == last for first, last in rows)
    for line in document.text.split("\n") if by_line else [document.text]:
        end = offset + len(line)
        inside = [span for span in document.spans if offset <= span.start and span.end <= end]
        annotations = [
            {
                "id": span.id,
                "infons": {"type": span.type, **infons[span.id]},
                "text": span.text,
                "locations": [{"offset": a, "length": b - a} for a, b in span.pieces],
            }
            for span in inside
        ]
        passage = {
            "offset": offset,
            "infons": {},
            "text": line,
            "sentences": [],
            "annotations": annotations,
            "relations": [],
        }
        passages.append(passage)
        offset = end + 1
    relations = [
        {
            "id": r.id,
            "infons": {"type": r.type, **infons[r.id]},
            "nodes": [{"refid": r.first, "role": r.roles[0]}, {"refid": r.second, "role": r.roles[1]}],
        }
        for r in document.relations
    ] + [
        {
            "id": link.id,
            "infons": {"type": link.type, FORM: "link", **infons[link.id]},
            "nodes": [{"refid": target, "role": role} for role, target in link.members],
        }
        for link in document.links
    ]
    own = {"group": document.group if document.group != pmid(document.id) else "", "task": document.task}
    own = {name: value for name, value in own.items() if value}
    return {"id": document.id, "infons": own, "passages": passages, "annotations": [], "relations": relations}


def read_bioc(path: Path | str) -> list[Document]:
    """The documents of a collection: passages joined at their offsets, gaps filled with line breaks.

    Relations at a passage or at the document; those of more than two nodes are links. Raises DataError, naming every
    offender, for what is not BioC, passages that overlap, and annotations whose text is not where they say.
    """
    raw = read_json(path)
    if not isinstance(raw, dict) or not isinstance(raw.get("documents"), list):
        raise DataError('Expected a BioC collection: an object with "documents".', path=path)
    found = []
    for number, document in enumerate(raw["documents"], 1):
        try:
            found.append(_from_bioc(document))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DataError(
                f"Document {number} is no BioC document ({type(error).__name__}: {error}).", path=path
            ) from None
    return check_documents(found, source=path)


def _from_bioc(raw: dict[str, Any]) -> Document:
    text, spans, relations, links, remarks = "", [], [], [], []
    parts = [*raw["passages"], {"annotations": raw.get("annotations", ()), "relations": raw.get("relations", ())}]
    for part in parts:
        if "offset" in part:
            if part["offset"] < len(text):
                raise ValueError(f"the passage at {part['offset']} overlaps the one before")
            text += "\n" * (part["offset"] - len(text)) + part.get("text", "")
        for a in part.get("annotations", ()):
            pieces = tuple((x["offset"], x["offset"] + x["length"]) for x in a["locations"])
            spans.append(Span(str(a["id"]), str(a["infons"]["type"]), pieces, a["text"]))
            remarks += _remarks(a, len(remarks))
        for r in part.get("relations", ()):
            if r["infons"].pop(FORM, "") or len(r["nodes"]) != 2:
                members = tuple((node.get("role") or "", node["refid"]) for node in r["nodes"])
                links.append(Link(str(r["id"]), str(r["infons"]["type"]), members))
                remarks += _remarks(r, len(remarks))
                continue
            first, second = r["nodes"]
            ends, roles = (first["refid"], second["refid"]), (first.get("role") or "Arg1", second.get("role") or "Arg2")
            relations.append(Relation(str(r["id"]), str(r["infons"]["type"]), *ends, roles))
            remarks += _remarks(r, len(remarks))
    name, own = str(raw["id"]), raw.get("infons") or {}
    group = str(own.get("group") or pmid(name))
    return Document(
        name, text, tuple(spans), tuple(relations), tuple(links), tuple(remarks), group, str(own.get("task") or "")
    )


def _remarks(annotation: dict[str, Any], n: int) -> list[Remark]:
    more = [(k, v) for k, v in annotation["infons"].items() if k != "type"]
    return [Remark(f"A{n + i}", k, str(annotation["id"]), str(v)) for i, (k, v) in enumerate(more, 1)]
