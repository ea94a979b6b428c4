"""Texts with their entities coloured: one page that needs nothing but a browser."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bioutils.pages import render
from bioutils.plots.style import colours_of, readable


def entity_page(
    documents: Iterable[tuple[str, str, Sequence[Mapping[str, Any]]]], types: Sequence[str], *, title: str = "Entities"
) -> str:
    """The page, HTML: a section a document (id, text, entities with start, end, type and perhaps score), a colour a type.

    Types can be hidden by their boxes; pointing at an entity shows its type and probability. All text is escaped.
    """
    colours = dict(zip(types, colours_of(types), strict=True))
    number = {kind: i for i, kind in enumerate(types)}
    shown = []
    for name, text, entities in documents:
        parts, last = [], 0
        for entity in sorted(entities, key=lambda e: e["start"]):
            score = entity.get("score")
            tip = readable(entity["type"]) + (f", {score:.1%}" if score is not None else "")
            parts.append({"text": text[last : entity["start"]], "kind": None})
            parts.append({"text": text[entity["start"] : entity["end"]], "kind": number[entity["type"]], "tip": tip})
            last = entity["end"]
        parts.append({"text": text[last:], "kind": None})
        shown.append({"id": name, "n": len(entities), "parts": [part for part in parts if part["text"]]})
    legend = [
        {"name": readable(kind), "colour": colours[kind], "number": number[kind],
         "n": sum(part["kind"] == number[kind] for document in shown for part in document["parts"])}
        for kind in types
    ]  # fmt: skip
    return render("entities.html.j2", title=title, types=legend, documents=shown)
