"""The report on annotated documents: sizes, tags, values, links, in Markdown or as a page with figures."""

import base64
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bioutils import plots
from bioutils.annotation_exploration import LIMIT, document_table, pair_table, value_table
from bioutils.corpora.records import Document
from bioutils.errors import UsageError, expected
from bioutils.files import atomic_writer
from bioutils.pages import render

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedTokenizerBase

SIZES = {
    "words": "words", "pieces": "sub-words", "tags": "tags", "tagged_words": "words with a tag",
    "tagged_share": "share of words with a tag", "tags_a_tagged_word": "tags on a word that has any",
    "most_on_a_word": "most tags on one word", "words_of_several_categories": "words with tags of several categories",
    "B": "words that begin a tag (B)", "I": "words inside a tag (I)", "E": "words that end a tag (E)",
    "S": "words that are a tag (S)", "links": "links", "linked_tags": "tags in a link",
    "linked_tag_share": "share of tags in a link", "links_a_linked_tag": "links of a tag that has any",
    "most_links_of_a_tag": "most links of one tag", "linked_words": "words in a link",
    "linked_word_share": "share of words in a link", "links_a_linked_word": "links of a word that has any",
    "most_links_of_a_word": "most links of one word",
}  # fmt: skip
MOST_PAIRS = 30


def report(
    documents: Sequence[Document], *, title: str, tokenizer: "PreTrainedTokenizerBase | None" = None, each: bool = False
) -> dict[str, Any]:
    """What the report's templates show. ``each``: a row a document too. Raises UsageError for no documents."""
    if not documents:
        raise UsageError(expected("documents", "one or more", "none"))
    table, values, pairs = document_table(documents, tokenizer), value_table(documents), pair_table(documents)
    shown = {name: label for name, label in SIZES.items() if tokenizer or name != "pieces"}
    sizes = [
        (label, _number(table[name].sum() if _adds_up(name, table[name]) else None), *map(_number, (
            table[name].min(), table[name].mean(), table[name].max()
        )))
        for name, label in shown.items()
    ]  # fmt: skip
    notes = [
        f"{int((table['tags'] > 0).sum()):,} of {len(table):,} documents have a tag, {int((table['links'] > 0).sum()):,} a link."
    ]
    if tokenizer:
        long = int((table["pieces"] > LIMIT - 2).sum())
        notes.append(
            f"{long:,} ({long / len(table):.1%}) are longer than the {LIMIT} sub-words that most encoders read at once."
        )
    tables = [{"title": "Sizes", "columns": ["a document", "in all", "least", "mean", "most"], "rows": sizes}]
    by_category = values.groupby("category", sort=False)
    in_each = [Counter(span.type for span in document.spans) for document in documents]
    tables.append({
        "title": "Categories", "columns": ["category", "tags", "mean a document", "most", "values", "mean words of a tag"],
        "rows": [(name, *map(_number, (sum(n := [each[name] for each in in_each]), sum(n) / len(n), max(n))), len(r),
                  _number((r["words"] * r["tags"]).sum() / r["tags"].sum())) for name, r in by_category],
    })  # fmt: skip
    rows = [
        (r.category, r.attribute, r.value, *map(_number, (r.tags, r.mean, r.most, r.documents, r.words)))
        for r in values.itertuples()
    ]
    columns = ["category", "attribute", "value", "tags", "mean a document", "most", "documents", "mean words of a tag"]
    tables.append({"title": "Values", "columns": columns, "rows": rows})
    if len(pairs):
        rest = f"The {MOST_PAIRS} most frequent of {len(pairs):,}." if len(pairs) > MOST_PAIRS else ""
        rows = [(a, b, _number(n)) for a, b, n in pairs.head(MOST_PAIRS).itertuples(index=False)]
        tables.append(
            {"title": "Values that links join", "columns": ["first", "second", "links"], "rows": rows, "note": rest}
        )
    if each:
        rows = [
            tuple(_number(v) if not isinstance(v, str) else v for v in row)
            for row in table[["id", *shown]].to_numpy().tolist()
        ]
        tables.append({"title": "Documents", "columns": ["id", *shown.values()], "rows": rows})
    lengths = {"title": "How long are the texts?", "unit": "words in a document", "things": "documents", "bins": 30}
    drawn = [plots.length_histogram(table["words"], **lengths)]
    if len(values):
        drawn.append(plots.value_bars(values))
    if len(pairs):
        drawn.append(plots.link_heatmap(pairs))
    return {"title": title, "notes": notes, "tables": [{"note": ""} | table for table in tables], "drawn": drawn}


def _adds_up(name: str, values: "pd.Series") -> bool:
    """Whether the documents' numbers may be summed: counts may, shares, means and the most of a document may not."""
    return values.dtype.kind == "i" and not name.startswith("most_")


def _number(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def write_report(found: dict[str, Any], out: Path) -> Path:
    """The report as Markdown (.md; no figures) or as a page (.html). Raises UsageError for another ending."""
    if out.suffix not in (".md", ".html"):
        raise UsageError(expected("--out", "a .md or .html file", str(out)))
    images = [_image(drawn) for drawn in found["drawn"]] if out.suffix == ".html" else []
    template = "annotations.html.j2" if out.suffix == ".html" else "annotations.md.j2"
    text = render(template, title=found["title"], notes=found["notes"], tables=found["tables"], images=images)
    with atomic_writer(out) as stream:
        stream.write(text)
    return out


def _image(drawn: Any) -> str:
    import matplotlib.pyplot as plt

    ax = drawn if hasattr(drawn, "figure") else drawn[0]
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, format="png", dpi=110)
    plt.close(ax.figure)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
