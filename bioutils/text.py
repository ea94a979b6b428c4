"""Sentences and words of biomedical text, with nothing to download."""

import re
from functools import cache
from typing import NamedTuple

WORD = re.compile(r"\w+")

# Abbreviations (lower case, without the last full stop) after which a sentence goes on. "min", "hr" and the like are
# left out on purpose: in methods sections they end a sentence as often as not.
ABBREVIATIONS = frozenset(
    """
    e.g i.e cf c.f etc al et viz vs v.s approx ca resp incl excl esp fig figs tab eq eqs ref refs suppl no nos vol pp ed eds
    sp spp subsp var nov gen cv str pv bv sv dr prof mr mrs st jr sr inc ltd corp co dept univ i.v i.p s.c i.m p.o
    b.i.d t.i.d q.d a.m p.m u.s u.k u.s.a temp conc max avg std dev est
    """.split()
)


class SentenceSpan(NamedTuple):
    """A sentence and where it stands: ``text == source[start:end]``."""

    start: int
    end: int
    text: str


@cache
def _punkt():
    """NLTK's Punkt (Kiss and Strunk 2006) with our abbreviations in place of learned parameters."""
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    parameters = PunktParameters()
    # Single letters are initials or genera (E. coli, S. cerevisiae).
    parameters.abbrev_types = set(ABBREVIATIONS) | set("abcdefghijklmnopqrstuvwxyz")
    return PunktSentenceTokenizer(parameters)


PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
# Punkt wants a capital after the full stop; names of genes and RNAs, and numbers, begin sentences too: a full stop, a
# blank, then a lower-case name with a digit or a capital in it (p53, miR-21, mTOR), or a number with a word after it.
LOWER_NAME = re.compile(r"(?<=[a-z0-9)\]%][.!?])\s+(?=(?:[a-z]{1,6}-?[A-Z0-9][\w/-]*|\d+(?:[.,]\d+)?\s+[a-z]+\s)\b)")
# A number with a unit of one or two letters ends a sentence before a capital: "for 24 h. The", "at 3.4 Å. Besides".
AFTER_UNIT = re.compile(r"(?<=\d)(?: ?[a-zA-Zµ°Å]{1,2}\.)(\s+)(?=[A-Z(\"“])")
# What is no sentence of its own: a bare number (of a list), and a bracket's stop before a plain lower-case word.
NUMBER_ALONE = re.compile(r"\(?\d{1,2}[.)]")
LAST_WORD = re.compile(r"(\S+)[.!?]$")


def sentences(text: str) -> list[SentenceSpan]:
    """The sentences of ``text`` in order, without white space at their ends; no other character is lost.

    A blank line always ends a sentence, a single line break does not. The same on every machine: resources that NLTK
    may find on a disk are not used.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    for end, after in [*((m.start(), m.end()) for m in PARAGRAPH.finditer(text)), (len(text), len(text))]:
        for first, last in _punkt().span_tokenize(text[start:end]) if text[start:end].strip() else []:
            for span in _split_before_names(text, start + first, start + last):
                if spans and spans[-1][0] >= start and _belongs(text, spans[-1], span):
                    span = (spans.pop()[0], span[1])
                spans.append(span)
        start = after
    return [_trimmed(text, first, last) for first, last in spans]


def _trimmed(text: str, first: int, last: int) -> SentenceSpan:
    """The span without white space at its ends (Punkt keeps it at the beginning of a text)."""
    piece = text[first:last]
    first += len(piece) - len(piece.lstrip())
    return SentenceSpan(first, first + len(piece.strip()), piece.strip())


def _belongs(text: str, before: tuple[int, int], span: tuple[int, int]) -> bool:
    """True when ``span`` goes on with the sentence ``before``."""
    previous = text[slice(*before)]
    if NUMBER_ALONE.fullmatch(previous):
        return True
    goes_on = re.match(r"[a-z]{2,}\s", text[slice(*span)]) is not None
    return goes_on and (previous.endswith((".)", '."', ".]")) or re.search(r"\d ?[a-z]{1,4}\.$", previous) is not None)


def _split_before_names(text: str, first: int, last: int) -> list[tuple[int, int]]:
    """Cuts a Punkt sentence where a new one begins in lower case or with a number."""
    cuts, start = [], first
    for match in LOWER_NAME.finditer(text, first, last):
        before = LAST_WORD.search(text[start : match.start()])
        word = before[1].lower().lstrip("([\"'") if before else ""
        if word in ABBREVIATIONS or len(word) == 1:
            continue
        cuts.append((start, match.start()))
        start = match.end()
    cuts.append((start, last))
    return [piece for first, last in cuts for piece in _split_after_units(text, first, last)]


def _split_after_units(text: str, first: int, last: int) -> list[tuple[int, int]]:
    marks = list(AFTER_UNIT.finditer(text, first, last))
    starts = [first, *(mark.end() for mark in marks)]
    return list(zip(starts, [*(mark.start(1) for mark in marks), last], strict=True))


def word_count(text: str) -> int:
    """Matches of ``\\w+``, the count that the ontology's tables use.

    >>> word_count("DNA-dependent: 2 words?")
    4
    """
    return len(WORD.findall(text))
