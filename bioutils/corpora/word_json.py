"""The word-level JSON of the earlier functional-genomics system: abstract → words, each with the tags on it.

A word is what stands between white space, ``{WORD, TOKENS, SENTENCE, POS, CATEGORY: [{id, link_ids, schema, field: value}]}``;
``schema`` is B, I or E of a tag of several words, S of one. A tag covers whole words: one that ends inside a word is widened.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from bioutils.corpora.records import Document, Link, Remark, Span, check_documents, pmid, slice_of
from bioutils.errors import DataError
from bioutils.files import atomic_writer, read_json

WORD = re.compile(r"\S+")
FIXED = ("WORD", "TOKENS", "SENTENCE", "POS")
OWN = ("id", "link_ids", "schema")  # of a tag; its other fields are its values
LINKING = "ENTITY_LINKING"  # the one type of link that the format knows


@dataclass(frozen=True)
class Category:
    """A category's role in links, and the MAE attribute of each of its fields."""

    name: str
    role: str
    fields: dict[str, str]


def read_categories(path: Path | str) -> dict[str, Category]:
    """A tag-category file: category → {entity_linking_field: "@roleID", fields: {field: {mae_field: "@attribute"}}}.

    Raises DataError for another form.
    """
    raw, found = read_json(path), {}
    try:
        for name, entry in raw.items():
            role = entry["entity_linking_field"].removeprefix("@").removesuffix("ID")
            fields = {field: str(value["mae_field"]).removeprefix("@") for field, value in entry["fields"].items()}
            found[name] = Category(name, role, fields)
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(f"Not a tag-category file ({type(error).__name__}: {error}).", path=path) from None
    return found


def read_words(
    path: Path | str, *, categories: dict[str, Category] | None = None, group: Callable[[str], str] = pmid
) -> list[Document]:
    """The documents: words put where POS says, white space between; tags as spans, their fields as remarks, links by link_ids.

    ``categories`` gives fields and roles the names they have in MAE. Raises DataError naming the abstract for what does not fit.
    """
    raw, found = read_json(path), []
    if not isinstance(raw, dict):
        raise DataError("Expected an object: abstract → list of words.", path=path)
    for name, words in raw.items():
        try:
            found.append(_document(name, words, categories or {}, group))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{name}: not words with tags ({type(error).__name__}: {error}).", path=path) from None
    return check_documents(found, source=path)


def _document(name: str, words: list[dict[str, Any]], categories: dict[str, Category], group) -> Document:
    text, places = "", []
    for word in words:
        if word["POS"] < len(text):
            raise ValueError(f"the word {word['WORD']!r} at {word['POS']} overlaps the one before")
        text += " " * (word["POS"] - len(text)) + word["WORD"]
        places.append((word["POS"], len(text)))
    tags: dict[tuple[str, str], list[tuple[int, dict]]] = {}
    for i, word in enumerate(words):
        for category in (key for key in word if key not in FIXED):
            for tag in word[category]:
                tags.setdefault((category, tag["id"]), []).append((i, tag))
    spans, remarks, links = [], [], {}
    for (category, span_id), found in tags.items():
        known = categories.get(category, Category(category, category.lower(), {}))
        tag, pieces = found[0][1], _pieces([i for i, _ in found], places)
        spans.append(Span(span_id, category, pieces, slice_of(text, pieces)))
        for field, value in tag.items():
            if field not in OWN:
                attribute = known.fields.get(field, field)
                remarks.append(Remark(f"{span_id}.{attribute}", attribute, span_id, value))
        for link in tag["link_ids"]:
            links.setdefault(link, []).append((known.role, span_id))
    linked = tuple(Link(link, LINKING, tuple(members)) for link, members in links.items())
    return Document(name, text, tuple(spans), (), linked, tuple(remarks), group(name))


def _pieces(numbers: list[int], places: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Where the words of these numbers stand; those that follow one another are one piece."""
    starts = [numbers[0], *(b for a, b in pairwise(numbers) if b > a + 1)]
    ends = [*(a for a, b in pairwise(numbers) if b > a + 1), numbers[-1]]
    return tuple((places[a][0], places[b][1]) for a, b in zip(starts, ends, strict=True))


def write_words(
    documents: Iterable[Document], path: Path | str, *, categories: dict[str, Category] | None = None,
    tokenize: Callable[[str], list[str]] | None = None,
) -> Counter[str]:  # fmt: skip
    """Writes the documents and counts what had no place: borders inside a word (widened), relations, notes on links, second notes
    of one name on a span, types and roles of links.

    ``tokenize``: a word → the pieces under TOKENS (empty without). ``read_words`` gives the same words and tags back.
    """
    lost: Counter[str] = Counter()
    documents = list(documents)
    names = sorted(categories or {s.type for d in documents for s in d.spans})
    content = {d.id: _words(d, names, categories or {}, tokenize, lost) for d in documents}
    with atomic_writer(path) as stream:
        json.dump(content, stream, ensure_ascii=False)
    return +lost  # without what was counted as 0


def _words(
    document: Document, names: list[str], categories: dict[str, Category], tokenize, lost: Counter
) -> list[dict]:
    words, sentence = [], 0
    for match in WORD.finditer(document.text):
        pieces = tokenize(match[0]) if tokenize else []
        words.append({"WORD": match[0], "TOKENS": pieces, "SENTENCE": sentence, "POS": match.start()})
        words[-1] |= {name: [] for name in names}
        sentence += match[0].endswith(".")
    links, values = _links(document, categories, lost), _values(document, lost)
    for span in document.spans:
        if span.type not in names:
            lost[f"spans of {span.type}, which the categories do not name"] += 1
            continue
        covered = [
            i for i, w in enumerate(words)
            if any(w["POS"] < end and start < w["POS"] + len(w["WORD"]) for start, end in span.pieces)
        ]  # fmt: skip
        if not covered:
            lost["spans of white space"] += 1
            continue
        places = [(w["POS"], w["POS"] + len(w["WORD"])) for w in words]
        if _pieces(covered, places) != tuple(sorted(span.pieces)):
            lost["spans widened to whole words"] += 1
        fields = {attribute: field for field, attribute in categories[span.type].fields.items()} if categories else {}
        own = {fields.get(name, name): value for name, value in values[span.id].items()}
        for i in covered:
            letter = "S" if len(covered) == 1 else "B" if i == covered[0] else "E" if i == covered[-1] else "I"
            words[i][span.type].append({"id": span.id, "link_ids": links[span.id], "schema": letter, **own})
    if document.relations:
        lost["relations"] += len(document.relations)
    return words


def _links(document: Document, categories: dict[str, Category], lost: Counter) -> dict[str, list[str]]:
    """Id of a span → its links. A link is no more than its id: of a role the span's category is all that stays."""
    found: dict[str, list[str]] = {span.id: [] for span in document.spans}
    for link in document.links:
        lost["types of links"] += link.type != LINKING
        lost["links without a span"] += not any(target in found for _, target in link.members)
        for role, target in link.members:
            if target not in found:
                lost["members of links that are no spans"] += 1
                continue
            kind = document.span(target).type
            lost["roles in links"] += role != (categories[kind].role if kind in categories else kind.lower())
            found[target].append(link.id)
    return found


def _values(document: Document, lost: Counter) -> dict[str, dict[str, str]]:
    """Id of a span → its values by name."""
    found: dict[str, dict[str, str]] = {span.id: {} for span in document.spans}
    for x in document.remarks:
        if x.target not in found:
            lost["notes on links and relations"] += 1
        elif x.type in OWN:
            lost[f"notes named {', '.join(OWN)}"] += 1
        elif x.type in found[x.target]:
            lost["second notes of one name on a span"] += 1
        else:
            found[x.target][x.type] = x.value
    return found
