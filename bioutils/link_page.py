"""Annotated documents with their links drawn as arcs: one page that needs nothing but a browser."""

from collections.abc import Iterable

from bioutils.corpora.records import Document
from bioutils.pages import render, script_json
from bioutils.plots.style import colours_of, readable


def link_page(documents: Iterable[Document], *, title: str = "Tags and links") -> str:
    """The page, HTML: a section a document, a colour a category, an arc from member to member of each link.

    Pointing at a tag shows its category and values and leaves only its links; categories can be hidden. Where tags overlap the
    first, and of those the longest, is shown, and the others are counted. Text is escaped.
    """
    documents = list(documents)
    categories = sorted({span.type for document in documents for span in document.spans})
    colours = dict(zip(categories, colours_of(categories), strict=True))
    number = {category: i for i, category in enumerate(categories)}
    counts = dict.fromkeys(categories, 0)
    shown, links = [], []
    for k, document in enumerate(documents):
        values: dict[str, list[str]] = {}
        for remark in document.remarks:
            values.setdefault(remark.target, []).append(f"{remark.type} {remark.value}")
        parts, last, hidden = [], 0, 0
        for span in sorted(document.spans, key=lambda s: (s.start, -s.end)):
            if span.start < last:
                hidden += 1
                continue
            counts[span.type] += 1
            tip = "; ".join([readable(span.type), *values.get(span.id, ())])
            parts.append({"text": document.text[last : span.start], "kind": None})
            parts.append({
                "text": document.text[span.start : span.end], "kind": number[span.type], "tip": tip, "id": f"{k}/{span.id}",
            })  # fmt: skip
            last = span.end
        parts.append({"text": document.text[last:], "kind": None})
        order = {span.id: span.start for span in document.spans}
        links.append([
            [f"{k}/{target}" for _, target in sorted(link.members, key=lambda m: order.get(m[1], 0))]
            for link in document.links
        ])  # fmt: skip
        shown.append({
            "id": document.id, "parts": [p for p in parts if p["text"]], "hidden": hidden, "n_links": len(document.links),
            "n_tags": len(document.spans),
        })  # fmt: skip
    legend = [{"name": readable(c), "colour": colours[c], "number": number[c], "n": counts[c]} for c in categories]
    return render("links.html.j2", title=title, types=legend, documents=shown, links=script_json(links))
