import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioutils.corpora.marking import around, mark, marker_tokens
from bioutils.corpora.records import Span, slice_of
from bioutils.corpora.relations import Example
from bioutils.errors import UsageError


def example(text: str, first, second, types=("Gene", "Disease")) -> Example:
    spans = [
        Span(f"T{i}", t, tuple(p), slice_of(text, p))
        for i, (t, p) in enumerate(zip(types, (first, second), strict=True))
    ]
    return Example("e", "g", text, *spans, "x")


TWICE = example("PKC and PKC cause asthma", [(8, 11)], [(18, 24)])
NESTED = example("asthma of PKC mice", [(10, 13)], [(0, 18)])
PIECES = example("CYP2C9*2 and *3 cause pain", [(0, 6), (13, 15)], [(22, 26)])
SAME = example("the PKC dimer", [(4, 7)], [(4, 7)])


@pytest.mark.parametrize(
    ("pair", "marking", "text"),
    [
        (TWICE, "none", "PKC and PKC cause asthma"),
        (TWICE, "enclose", "PKC and << PKC >> cause [[ asthma ]]"),
        (TWICE, "mask", "PKC and @GENE$ cause @DISEASE$"),
        (TWICE, "markers", "PKC and [E1:Gene]PKC[/E1] cause [E2:Disease]asthma[/E2]"),
        (NESTED, "enclose", "[[ asthma of << PKC >> mice ]]"),
        (NESTED, "mask", "@GENE-DISEASE$"),
        (PIECES, "enclose", "<< CYP2C9 >>*2 and << *3 >> cause [[ pain ]]"),
        (PIECES, "mask", "@GENE$*2 and @GENE$ cause @DISEASE$"),
        (SAME, "enclose", "the << [[ PKC ]] >> dimer"),
        (SAME, "mask", "the @GENE-DISEASE$ dimer"),
    ],
)
def test_by_hand(pair, marking, text):
    assert mark(pair, marking).text == text


@pytest.mark.parametrize("pair", [TWICE, NESTED, PIECES, SAME])
@pytest.mark.parametrize("marking", ["none", "enclose", "markers"])
def test_the_places_hold_the_names(pair, marking):
    found = mark(pair, marking)
    bare = re.compile(r"<< | >>|\[\[ | \]\]|\[/?E\d[^\]]*\]")
    for span, (start, end) in ((pair.first, found.first), (pair.second, found.second)):
        assert bare.sub("", found.text[start:end]) == pair.text[span.start : span.end]


@st.composite
def pairs(draw):
    text = draw(st.text("abc ", min_size=2, max_size=30))
    spans = []
    for _ in range(2):
        cuts = sorted(draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=4, unique=True)))
        spans.append(list(zip(cuts[::2], cuts[1::2], strict=False)) or [(0, 1)])
    return example(text, *spans)


@given(pair=pairs(), marking=st.sampled_from(["enclose", "markers"]))
def test_taking_the_marks_out_gives_the_text_back(pair, marking):
    found = mark(pair, marking)
    assert re.sub(r"<< | >>|\[\[ | \]\]|\[/?E\d[^\]]*\]", "", found.text) == pair.text
    for start, end in (found.first, found.second):
        assert 0 <= start < end <= len(found.text)
    opening = "<< " if marking == "enclose" else "[E1:Gene]"
    assert found.text.count(opening) == len(pair.first.pieces)
    assert found.text[found.first[0] :].startswith(opening)


def test_marker_tokens_and_wrong_names():
    assert marker_tokens([TWICE]) == ["[/E1]", "[/E2]", "[E1:Gene]", "[E2:Disease]"]
    with pytest.raises(UsageError, match="Expected marking to be a known one"):
        mark(TWICE, "bold")


def test_what_the_baseline_reads():
    assert around(TWICE) == "types_Gene_Disease_forward before_pkc before_and between_cause"
    assert around(NESTED).startswith("types_Disease_Gene_backward")
    assert "between" not in around(NESTED)
