"""What annotated documents hold: sizes, tags by category and value, how densely they stand, and what links join."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from bioutils.annotation_inputs import mark
from bioutils.corpora.records import Document, one_task
from bioutils.errors import UsageError, expected
from bioutils.tagging_inputs import tagging_inputs

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedTokenizerBase

LIMIT = 512  # tokens that most encoders read at once


def document_table(documents: Sequence[Document], tokenizer: "PreTrainedTokenizerBase | None" = None) -> "pd.DataFrame":
    """A row a document.

    ``id, words, pieces`` (with a tokenizer); ``tags, tagged_words, tagged_share, tags_a_tagged_word, most_on_a_word,
    words_of_several_categories``; ``B, I, E, S``: words that begin a tag, are inside one, end one, or are one alone; ``links,
    linked_tags, linked_tag_share, links_a_linked_tag, most_links_of_a_tag``, and the same of words, which are linked by the tags
    on them, each link once. Words stand between white space; shares are of all words, or of all tags.
    """
    import pandas as pd

    rows = []
    for document in documents:
        marked = mark(document)
        n_words = int(marked.words[-1]) + 1 if len(marked.words) else 0
        tags, categories = np.zeros(n_words, dtype=int), [set() for _ in range(n_words)]
        letters, words_of = Counter(), {}
        for span, units in zip(document.spans, marked.spans, strict=True):
            words = words_of[span.id] = np.unique(marked.words[units])
            tags[words] += 1
            letters.update({0: "", 1: "S"}.get(len(words), "B" + "I" * (len(words) - 2) + "E"))
            for word in words:
                categories[word].add(span.type)
        members = [{target for _, target in link.members if target in words_of} for link in document.links]
        of_tag = Counter(target for targets in members for target in targets)
        of_word = Counter(word for targets in members for word in {w for target in targets for w in words_of[target]})
        tagged = int((tags > 0).sum())
        rows.append({
            "id": document.id, "words": n_words, "pieces": _pieces(marked.units, tokenizer) if tokenizer else 0,
            "tags": len(document.spans), "tagged_words": tagged, "tagged_share": tagged / max(1, n_words),
            "tags_a_tagged_word": tags.sum() / max(1, tagged), "most_on_a_word": int(tags.max(initial=0)),
            "words_of_several_categories": sum(len(found) > 1 for found in categories),
            **{letter: letters[letter] for letter in "BIES"}, "links": len(document.links),
            **_links_of(of_tag, "tag", len(document.spans)), **_links_of(of_word, "word", n_words),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _links_of(counts: Counter, what: str, n: int) -> dict[str, float]:
    """How many of ``n`` tags or words are in a link, and in how many. ``counts``: links of those that are in any."""
    return {
        f"linked_{what}s": len(counts), f"linked_{what}_share": len(counts) / max(1, n),
        f"links_a_linked_{what}": counts.total() / max(1, len(counts)),
        f"most_links_of_a_{what}": max(counts.values(), default=0),
    }  # fmt: skip


def _pieces(units: Sequence[str], tokenizer: "PreTrainedTokenizerBase") -> int:
    inputs = tagging_inputs([units], tokenizer, max_length=10**6)
    return sum(len(ids) - 2 for ids in inputs.input_ids)


def value_table(documents: Sequence[Document]) -> "pd.DataFrame":
    """A row a category, attribute and value: ``category, attribute, value, tags, documents, words`` (mean length of the tag),
    ``mean, most`` (tags a document, of all documents), the most frequent of each category first; the value "" where a tag has
    none."""
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
    columns = ["category", "attribute", "value"]
    found = table.groupby(columns, as_index=False).agg(
        tags=("document", "size"), documents=("document", "nunique"), words=("words", "mean")
    )
    in_each = table.groupby([*columns, "document"]).size()
    found["mean"] = found["tags"] / max(1, len(documents))
    found["most"] = in_each.groupby(columns).max().to_numpy() if len(found) else 0  # both in the order of their keys
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

    Raises UsageError for shares that are no numbers above 0, and for more parts than abstracts.
    """
    if len(shares) < 2 or any(not 0 < share < float("inf") for share in shares.values()):
        raise UsageError(expected("shares", "two or more, each a number above 0", shares))
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
    """All documents in one list. Raises UsageError where two have one id, and for several tasks (``records.one_task``)."""
    one_task({f"part {number}": part for number, part in enumerate(parts, 1)})
    found = [document for part in parts for document in part]
    if twice := [name for name, n in Counter(d.id for d in found).items() if n > 1]:
        raise UsageError(
            f"{len(twice)} documents are in more than one part: {twice[:5]}. Rename or leave out one of each."
        )
    return found
