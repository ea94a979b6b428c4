"""Which two entities of a text are meant: marks put into it by offsets.

By offsets and never by replacing strings: the same name elsewhere in the sentence stays as it is, and nested and interrupted
entities are marked where they are.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bioutils.corpora.relations import Example
from bioutils.errors import UsageError, expected

WORD = re.compile(r"\w+")
MARKINGS = ("none", "mask", "markers", "enclose")


@dataclass(frozen=True)
class Marked:
    """A marked text, and where the two arguments lie in it, marks included: (start, end) from first to last piece."""

    text: str
    first: tuple[int, int]
    second: tuple[int, int]


def marks(example: Example, marking: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """What opens and closes the first and the second argument."""
    if marking == "enclose":
        return ("<< ", " >>"), ("[[ ", " ]]")
    return tuple(
        (f"[{role}:{span.type}]", f"[/{role}]") for role, span in (("E1", example.first), ("E2", example.second))
    )


def marker_tokens(examples: Sequence[Example]) -> list[str]:
    """The tokens that ``markers`` needs, sorted: they are added to the tokenizer, and their vectors are learned."""
    return sorted({mark for example in examples for pair in marks(example, "markers") for mark in pair})


def mark(example: Example, marking: str) -> Marked:
    """The example's text with its two entities marked.

    ``none``: as it is. ``enclose``: ``<< >>`` round each piece of the first argument, ``[[ ]]`` of the second. ``markers``:
    tokens ``[E1:Gene]`` and ``[/E1]`` in their place. ``mask``: each piece becomes ``@GENE$``; where the two overlap,
    ``@GENE-DISEASE$`` stands for both, as BLURB has it. Raises UsageError for another marking.
    """
    if marking not in MARKINGS:
        raise UsageError(expected("marking", "a known one", marking, available=MARKINGS))
    spans = example.first, example.second
    if marking == "none":
        return Marked(example.text, *((span.start, span.end) for span in spans))
    if marking == "mask":
        return _masked(example)
    edits = []  # (position, closes before opens, order among those of one place, role, mark)
    for role, (span, (opening, closing)) in enumerate(zip(spans, marks(example, marking), strict=True)):
        for start, end in span.pieces:
            edits.append((start, 1, -(end - start), role, role, opening))  # the longer piece opens first …
            edits.append((end, 0, end - start, -role, role, closing))  # … and closes last
    parts, places, position, size = [], {0: [], 1: []}, 0, 0
    for offset, opens, _, _, role, text in sorted(edits):
        parts += [example.text[position:offset], text]
        size += offset - position
        places[role].append(size if opens else size + len(text))
        size += len(text)
        position = offset
    return Marked("".join([*parts, example.text[position:]]), *((min(p), max(p)) for p in places.values()))


def _masked(example: Example) -> Marked:
    pieces = sorted(
        (*piece, role) for role, span in enumerate((example.first, example.second)) for piece in span.pieces
    )
    merged: list[tuple[int, int, set[int]]] = []
    for start, end, role in pieces:
        if merged and start < merged[-1][1]:
            before, last, roles = merged.pop()
            merged.append((before, max(last, end), roles | {role}))
        else:
            merged.append((start, end, {role}))
    names = [span.type.upper() for span in (example.first, example.second)]
    parts, places, position, size = [], {0: [], 1: []}, 0, 0
    for start, end, roles in merged:
        name = f"@{'-'.join(names[role] for role in sorted(roles))}$"
        parts += [example.text[position:start], name]
        size += start - position
        for role in roles:
            places[role] += [size, size + len(name)]
        size += len(name)
        position = end
    return Marked("".join([*parts, example.text[position:]]), *((min(p), max(p)) for p in places.values()))


def around(example: Example, *, words: int = 5) -> str:
    """The words between the two entities and up to ``words`` on each side, as one line for a bag of words.

    Each word says where it stood (``between_inhibits``), and the types in the order of the text are words too: what the
    baseline of every relation experiment reads. The entities' own names are left out.
    """
    one, other = sorted((example.first, example.second), key=lambda span: (span.start, span.end))
    parts = {
        "before": WORD.findall(example.text[: one.start].lower())[-words:],
        "between": WORD.findall(example.text[one.end : other.start].lower()),
        "after": WORD.findall(example.text[max(one.end, other.end) :].lower())[:words],
    }
    order = "forward" if one == example.first else "backward"
    found = [f"{where}_{word}" for where, those in parts.items() for word in those]
    return " ".join([f"types_{one.type}_{other.type}_{order}", *found])
