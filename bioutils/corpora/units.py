"""Words and text in the pieces that an encoder's tokenizer never joins: runs of letters and digits, and single signs.

"IL-2" is one word in GENIA's files and three in others. Taggers work on units, so that one trained on words of the one kind
reads plain text of any kind: a tag a unit, and of a word the tag of its first unit.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from bioutils.corpora.tags import TokenSpan, from_spans, to_spans

UNIT = re.compile(r"[^\W_]+|[^\w\s]|_")  # as BERT's own pre-tokenizer cuts


class Units(NamedTuple):
    """Units of a sentence in order, and the number of each word's first one."""

    units: list[str]
    first: list[int]


def units_of(words: Sequence[str]) -> Units:
    """The units of words; a word without any (odd marks) is one itself.

    >>> units_of(["IL-2", "gene"])
    Units(units=['IL', '-', '2', 'gene'], first=[0, 3])
    """
    units: list[str] = []
    first = []
    for word in words:
        first.append(len(units))
        units += UNIT.findall(word) or [word]
    return Units(units, first)


def unit_places(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Where the units of a text, or of a stretch of it, begin and end."""
    return [match.span() for match in UNIT.finditer(text, start, len(text) if end is None else end)]


def to_unit_tags(tags: Sequence[str], units: Units, scheme: str = "IOB2") -> list[str]:
    """A sentence's tags by word as tags by unit: an entity covers all units of its words.

    >>> to_unit_tags(["B-protein", "O"], units_of(["IL-2", "gene"]))
    ['B-protein', 'I-protein', 'I-protein', 'O']
    """
    edges = [*units.first, len(units.units)]
    spans = [TokenSpan(edges[s.start], edges[s.end], s.type) for s in to_spans(tags, scheme)]
    return from_spans(spans, len(units.units), scheme)


def to_word_tags(tags: Sequence[str], units: Units, scheme: str = "IOB2") -> list[str]:
    """Tags by unit as tags by word: a word is in an entity when its first unit is; an entity inside a word is dropped."""
    place = {unit: word for word, unit in enumerate(units.first)}
    spans = []
    for span in to_spans(tags, scheme):
        words = [place[unit] for unit in range(span.start, span.end) if unit in place]
        if words:
            spans.append(TokenSpan(words[0], words[-1] + 1, span.type))
    return from_spans(spans, len(units.first), scheme)
