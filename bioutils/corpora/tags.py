"""Tag schemes of sequence labelling: IOB1, IOB2, IOBES, BILOU; to spans and back, illegal sequences reported and repaired.

A span is (start, end, type) in tokens, the end exclusive. Tjong Kim Sang & Veenstra 1999 (IOB1, IOB2), Ratinov & Roth 2009
(BILOU).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bioutils.errors import UsageError, expected

SCHEMES = ("IOB1", "IOB2", "IOBES", "BILOU")
# What other schemes' letters are in IOBES: end (E, L), single (S, U).
LETTERS = {"IOB1": "IB", "IOB2": "BI", "IOBES": "BIES", "BILOU": "BILU"}
COMMON = {"L": "E", "U": "S"}


class TokenSpan(NamedTuple):
    """An entity in tokens: from, to (exclusive), type."""

    start: int
    end: int
    type: str


class Illegal(NamedTuple):
    """A tag that its scheme does not allow where it stands."""

    index: int
    tag: str
    reason: str


def split_tag(tag: str) -> tuple[str, str]:
    """Letter and type. Raises ValueError for what is no tag.

    >>> split_tag("B-cell_type"), split_tag("O")
    (('B', 'cell_type'), ('O', ''))
    """
    if tag == "O":
        return "O", ""
    letter, dash, kind = tag.partition("-")
    if not dash or not kind or letter not in "BIESLU" or len(letter) != 1:
        raise ValueError(f"{tag!r} is no tag: O, or a letter of {', '.join('BIESLU')}, a hyphen and a type")
    return letter, kind


def _check(scheme: str) -> None:
    if scheme not in SCHEMES:
        raise UsageError(expected("scheme", "a known one", scheme, available=SCHEMES))


def starts_and_ends(tags: Sequence[str], scheme: str) -> list[tuple[bool, bool, str]]:
    """For each tag: does an entity begin with it, does one end with it, and its type; lenient, as conlleval reads tags.

    A tag that continues nothing (I- after O, or after another type) begins an entity; so no token with a type is lost.
    """
    _check(scheme)
    parts = [(COMMON.get(letter, letter), kind) for letter, kind in map(split_tag, tags)]
    parts = [("O", ""), *parts, ("O", "")]
    found = []
    for before, here, after in zip(parts, parts[1:], parts[2:], strict=False):
        letter, kind = here
        found.append((_breaks(before, here), _breaks(here, after), kind) if letter != "O" else (False, False, ""))
    return found


def _breaks(left: tuple[str, str], right: tuple[str, str]) -> bool:
    """Whether an entity boundary lies between two neighbouring tags, one of which has a type."""
    return left[1] != right[1] or left[0] in "OES" or right[0] in "OBS"


def to_spans(tags: Sequence[str], scheme: str = "IOB2", *, strict: bool = False) -> list[TokenSpan]:
    """The entities of a tagged sentence, in order.

    Lenient (the default) reads any sequence, as conlleval and seqeval's default mode do. ``strict`` takes only entities whose
    tags are whole and legal: in IOB2 one begins with B-, in IOBES it is S- or goes from B- to E-; others are no entities.
    """
    if strict:
        return _strict_spans(tags, scheme)
    spans, start = [], 0
    for i, (begins, ends, kind) in enumerate(starts_and_ends(tags, scheme)):
        if begins:
            start = i
        if ends:
            spans.append(TokenSpan(start, i + 1, kind))
    return spans


def _strict_spans(tags: Sequence[str], scheme: str) -> list[TokenSpan]:
    _check(scheme)
    parts = [(COMMON.get(letter, letter), kind) for letter, kind in map(split_tag, tags)]
    spans, i = [], 0
    while i < len(parts):
        letter, kind = parts[i]
        end = i + 1
        if scheme == "IOB2" and letter == "B":
            while end < len(parts) and parts[end] == ("I", kind):
                end += 1
            spans.append(TokenSpan(i, end, kind))
        elif scheme == "IOB1" and letter in "IB":
            after_its_type = i > 0 and parts[i - 1][1] == kind
            while end < len(parts) and parts[end] == ("I", kind):
                end += 1
            if letter == "I" or after_its_type:
                spans.append(TokenSpan(i, end, kind))
        elif letter == "S":
            spans.append(TokenSpan(i, end, kind))
        elif letter == "B" and scheme in ("IOBES", "BILOU"):
            while end < len(parts) and parts[end] == ("I", kind):
                end += 1
            if end < len(parts) and parts[end] == ("E", kind):
                end += 1
                spans.append(TokenSpan(i, end, kind))
        i = end
    return spans


def from_spans(spans: Iterable[tuple[int, int, str]], n: int, scheme: str = "IOB2") -> list[str]:
    """Tags of a sentence of ``n`` tokens. Raises UsageError where spans overlap or lie outside: tags cannot hold them."""
    _check(scheme)
    tags, last = ["O"] * n, TokenSpan(-1, 0, "")
    end_letter, single = ("L", "U") if scheme == "BILOU" else ("E", "S")
    for span in sorted(TokenSpan(*span) for span in spans):
        start, end, kind = span
        if not 0 <= start < end <= n or start < last.end:
            raise UsageError(f"Expected spans apart and inside 0 to {n}, found {tuple(last)} and {tuple(span)}.")
        tags[start:end] = [f"I-{kind}"] * (end - start)
        if scheme == "IOB1":
            if last.end == start and last.type == kind and last.start >= 0:
                tags[start] = f"B-{kind}"
        elif scheme == "IOB2":
            tags[start] = f"B-{kind}"
        elif end - start == 1:
            tags[start] = f"{single}-{kind}"
        else:
            tags[start], tags[end - 1] = f"B-{kind}", f"{end_letter}-{kind}"
        last = span
    return tags


def illegal(tags: Sequence[str], scheme: str = "IOB2") -> list[Illegal]:
    """Every tag that the scheme does not allow where it stands, with the reason."""
    _check(scheme)
    found, letters = [], LETTERS[scheme]
    parts = [("O", ""), *map(split_tag, tags), ("O", "")]
    for i, tag in enumerate(tags):
        (before, kind_before), (letter, kind), (after, kind_after) = parts[i], parts[i + 1], parts[i + 2]
        if letter == "O":
            continue
        open_before = before in "BI" and kind_before == kind
        if letter not in letters:
            found.append(Illegal(i, tag, f"{scheme} has no {letter}-"))
        elif scheme == "IOB1":
            if letter == "B" and not (before in "BI" and kind_before == kind):
                found.append(Illegal(i, tag, "B- is only for a second entity of the type"))
        elif letter in "IEL" and not open_before:
            found.append(Illegal(i, tag, f"{letter}- continues nothing of its type"))
        elif scheme != "IOB2" and letter in "BI" and not (after in "IEL" and kind_after == kind):
            found.append(Illegal(i, tag, f"nothing ends the entity that {letter}- is in"))
    return found


def may_follow(before: str, after: str, scheme: str = "IOB2") -> bool:
    """Whether a scheme allows ``after`` straight after ``before``; O stands for the borders of a sentence too.

    >>> may_follow("O", "I-X"), may_follow("B-X", "I-X"), may_follow("B-X", "O", "IOBES")
    (False, True, False)
    """
    _check(scheme)
    (letter, kind), (follows, other) = split_tag(before), split_tag(after)
    same = letter in ("B", "I") and kind == other
    if scheme == "IOB1":
        return follows != "B" or same
    if scheme == "IOB2":
        return follows != "I" or same
    goes_on = follows in ("I", "E", "L")
    return (goes_on and same) if letter in ("B", "I") else not goes_on


def repair(tags: Sequence[str], scheme: str = "IOB2") -> list[str]:
    """Legal tags of the scheme for the entities that lenient reading finds: an I- that continues nothing becomes a B-, …

    No token gains or loses its type. What was changed is what differs.

    >>> repair(["O", "I-X", "I-X", "I-Y"])
    ['O', 'B-X', 'I-X', 'B-Y']
    """
    return from_spans(to_spans(tags, scheme), len(tags), scheme)


def convert(tags: Sequence[str], source: str, target: str) -> list[str]:
    """The tags in another scheme: of the entities that lenient reading of ``source`` finds."""
    return from_spans(to_spans(tags, source), len(tags), target)


def guess_scheme(sentences: Iterable[Sequence[str]]) -> str:
    """The scheme that sentences are in: by their letters, and IOB1 where some entity begins with I-.

    BILOU and IOBES where their letters occur; IOB2 where all entities begin with B-.
    """
    letters, begins = set(), set()
    for tags in sentences:
        before = ("O", "")
        for tag in tags:
            here = split_tag(tag)
            letters.add(here[0])
            if here[0] != "O" and (before[0] == "O" or before[1] != here[1]):
                begins.add(here[0])
            before = here
    if letters & {"L", "U"}:
        return "BILOU"
    if letters & {"E", "S"}:
        return "IOBES"
    return "IOB1" if "I" in begins and "B" not in begins else "IOB2"
