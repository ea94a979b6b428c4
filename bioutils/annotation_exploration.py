"""What annotated documents hold: sizes, tags by category and value, how densely they stand, and what links join."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from bioutils.annotation_inputs import mark
from bioutils.corpora.records import Document
from bioutils.errors import UsageError, expected
from bioutils.tagging_inputs import tagging_inputs

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedTokenizerBase

LIMIT = 512  # tokens that most encoders read at once


def document_table(documents: Sequence[Document], tokenizer: "PreTrainedTokenizerBase | None" = None) -> "pd.DataFrame":
    """A row a document: ``id, words, pieces`` (with a tokenizer), ``tags, tagged_words, tagged_share, tags_a_tagged_word,
    most_on_a_word, words_of_several_categories, links, linked_tags, most_links_of_a_tag``. Words stand between white space."""
    import pandas as pd

    rows = []
    for document in documents:
        marked = mark(document)
        n_words = int(marked.words[-1]) + 1 if len(marked.words) else 0
        tags, categories = np.zeros(n_words, dtype=int), [set() for _ in range(n_words)]
        for span, units in zip(document.spans, marked.spans, strict=True):
            words = np.unique(marked.words[units])
            tags[words] += 1
            for word in words:
                categories[word].add(span.type)
        of_tag = Counter(target for link in document.links for _, target in link.members)
        tagged = int((tags > 0).sum())
        rows.append({
            "id": document.id, "words": n_words, "pieces": _pieces(marked.units, tokenizer) if tokenizer else 0,
            "tags": len(document.spans), "tagged_words": tagged, "tagged_share": tagged / max(1, n_words),
            "tags_a_tagged_word": tags.sum() / max(1, tagged), "most_on_a_word": int(tags.max(initial=0)),
            "words_of_several_categories": sum(len(found) > 1 for found in categories), "links": len(document.links),
            "linked_tags": len(of_tag), "most_links_of_a_tag": max(of_tag.values(), default=0),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _pieces(units: Sequence[str], tokenizer: "PreTrainedTokenizerBase") -> int:
    inputs = tagging_inputs([units], tokenizer, max_length=10**6)
    return sum(len(ids) - 2 for ids in inputs.input_ids)


def value_table(documents: Sequence[Document]) -> "pd.DataFrame":
    """A row a category, attribute and value: ``category, attribute, value, tags, documents, words`` (mean length of the tag), the
    most frequent of each category first; the value "" where a tag has none."""
    import pandas as pd

    rows = []
    for document in documents:
        values: dict[str, list[tuple[str, str]]] = {}
        for remark in document.remarks:
            values.setdefault(remark.target, []).append((remark.type, remark.value))
        for span in document.spans:
            for attribute, value in values.get(span.id) or [("", "")]:
                rows.append((span.type, attribute, value, document.id, len(span.text.split())))
    table = pd.DataFrame(rows, columns=["category", "attribute", "value", "document", "words"])
    grouped = table.groupby(["category", "attribute", "value"], as_index=False)
    found = grouped.agg(tags=("document", "size"), documents=("document", "nunique"), words=("words", "mean"))
    return found.sort_values(
        ["category", "attribute", "tags", "value"], ascending=[True, True, False, True], ignore_index=True
    )


def pair_table(documents: Sequence[Document]) -> "pd.DataFrame":
    """A row a pair of values that links join: ``first, second`` ("CATEGORY: value", by alphabet), ``links``, most first."""
    import pandas as pd

    counts: Counter[tuple[str, str]] = Counter()
    for document in documents:
        name = {span.id: span.type for span in document.spans}
        for remark in document.remarks:
            if remark.value and remark.target in name and ":" not in name[remark.target]:
                name[remark.target] += f": {remark.value}"
        for link in document.links:
            ends = sorted({name[target] for _, target in link.members if target in name})
            counts.update(combinations(ends, 2))
    rows = [(*pair, n) for pair, n in counts.most_common()]
    return pd.DataFrame(rows, columns=["first", "second", "links"])


def split(documents: Sequence[Document], shares: dict[str, float], *, seed: int = 0) -> dict[str, list[Document]]:
    """The documents dealt to parts by their shares, by abstract (``group``), documents with links spread evenly.

    Raises UsageError for shares that are not above 0, and for more parts than abstracts.
    """
    if len(shares) < 2 or any(not share > 0 for share in shares.values()):
        raise UsageError(expected("shares", "two or more, each above 0", shares))
    groups = sorted({d.group or d.id for d in documents})
    if len(groups) < len(shares):
        raise UsageError(expected("documents", f"of {len(shares)} abstracts or more, one a part", len(groups)))
    linked = {d.group or d.id for d in documents if d.links}
    order = [groups[i] for i in np.random.default_rng(seed).permutation(len(groups))]
    order = sorted(
        order, key=lambda group: group not in linked
    )  # the linked ones are dealt first, in their random order
    total, sizes, part_of = sum(shares.values()), dict.fromkeys(shares, 0), {}
    for n, group in enumerate(order, 1):  # each to the part that lacks most
        part = max(shares, key=lambda name: n * shares[name] / total - sizes[name])
        sizes[part] += 1
        part_of[group] = part
    return {name: [d for d in documents if part_of[d.group or d.id] == name] for name in shares}


def merged(parts: Sequence[Sequence[Document]]) -> list[Document]:
    """All documents in one list. Raises UsageError where two have one id."""
    found = [document for part in parts for document in part]
    if twice := [name for name, n in Counter(d.id for d in found).items() if n > 1]:
        raise UsageError(
            f"{len(twice)} documents are in more than one part: {twice[:5]}. Rename or leave out one of each."
        )
    return found
