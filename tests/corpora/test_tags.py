import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bioutils.corpora.tags import (
    SCHEMES,
    convert,
    from_spans,
    guess_scheme,
    illegal,
    may_follow,
    repair,
    split_tag,
    starts_and_ends,
    to_spans,
)
from bioutils.errors import UsageError

SPANS = [(0, 1, "X"), (1, 3, "X"), (4, 7, "Y"), (7, 8, "X")]
BY_HAND = {
    "IOB1": "I-X B-X I-X O I-Y I-Y I-Y I-X",
    "IOB2": "B-X B-X I-X O B-Y I-Y I-Y B-X",
    "IOBES": "S-X B-X E-X O B-Y I-Y E-Y S-X",
    "BILOU": "U-X B-X L-X O B-Y I-Y L-Y U-X",
}


@st.composite
def spans(draw):
    """Spans apart, in a sentence of n tokens."""
    n = draw(st.integers(1, 12))
    cuts = sorted(draw(st.lists(st.integers(0, n), max_size=8, unique=True)))
    found = [(a, b, draw(st.sampled_from("XY"))) for a, b in zip(cuts, cuts[1:], strict=False)]
    return [span for span in found if draw(st.booleans())], n


ANY_TAGS = st.lists(st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"]), max_size=10)
ANY_IOBES = st.lists(st.sampled_from(["O", *(f"{letter}-{kind}" for letter in "BIES" for kind in "XY")]), max_size=10)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_by_hand(scheme):
    tags = BY_HAND[scheme].split()
    assert from_spans(SPANS, 8, scheme) == tags
    assert to_spans(tags, scheme) == to_spans(tags, scheme, strict=True) == SPANS
    assert illegal(tags, scheme) == []


@given(case=spans(), scheme=st.sampled_from(SCHEMES), other=st.sampled_from(SCHEMES))
def test_schemes_turn_into_one_another(case, scheme, other):
    found, n = case
    tags = from_spans(found, n, scheme)
    assert to_spans(tags, scheme) == to_spans(tags, scheme, strict=True) == found
    assert convert(convert(tags, scheme, other), other, scheme) == tags
    assert not illegal(tags, scheme)
    assert repair(tags, scheme) == tags


@settings(deadline=None)  # the first call imports scikit-learn
@given(tags=ANY_TAGS)
def test_lenient_and_strict_reading_are_seqevals(tags):
    seqeval = pytest.importorskip("seqeval.metrics.sequence_labeling")
    scheme = pytest.importorskip("seqeval.scheme")
    assert to_spans(tags, "IOB2") == [(a, b + 1, kind) for kind, a, b in seqeval.get_entities(tags)]
    strict = scheme.Entities([tags], scheme.IOB2).entities[0] if tags else []
    assert to_spans(tags, "IOB2", strict=True) == [(e.start, e.end, e.tag) for e in strict]


@settings(deadline=None)
@given(tags=ANY_IOBES)
def test_iobes_is_seqevals_too(tags):
    seqeval = pytest.importorskip("seqeval.metrics.sequence_labeling")
    scheme = pytest.importorskip("seqeval.scheme")
    assert to_spans(tags, "IOBES") == [(a, b + 1, kind) for kind, a, b in seqeval.get_entities(tags)]
    strict = scheme.Entities([tags], scheme.IOBES).entities[0] if tags else []
    assert to_spans(tags, "IOBES", strict=True) == [(e.start, e.end, e.tag) for e in strict]


@given(tags=ANY_IOBES, scheme=st.sampled_from(["IOB1", "IOB2", "IOBES"]))
def test_what_is_legal_is_what_each_pair_allows(tags, scheme):
    if scheme != "IOBES":
        tags = [tag.replace("E-", "I-").replace("S-", "B-") for tag in tags]
    pairs = zip(["O", *tags], [*tags, "O"], strict=True)
    assert all(may_follow(a, b, scheme) for a, b in pairs) == (not illegal(tags, scheme))


@given(tags=ANY_TAGS, scheme=st.sampled_from(["IOB1", "IOB2"]))
def test_repair_makes_legal_and_changes_no_type(tags, scheme):
    mended = repair(tags, scheme)
    assert not illegal(mended, scheme)
    assert [t[2:] for t in mended] == [t[2:] for t in tags]
    assert to_spans(mended, scheme) == to_spans(tags, scheme)
    assert bool(illegal(tags, scheme)) or scheme == "IOB1" or mended == tags


def test_what_is_illegal_says_why():
    found = illegal(["I-X", "B-X", "I-Y", "E-Y"])
    assert [(x.index, x.tag) for x in found] == [(0, "I-X"), (2, "I-Y"), (3, "E-Y")]
    assert "continues nothing" in found[0].reason
    assert "IOB2 has no E-" in found[2].reason
    assert illegal(["B-X", "O"], "IOBES")[0].reason == "nothing ends the entity that B- is in"
    assert illegal(["B-X"], "IOB1")[0].index == 0


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_scheme_is_guessed(scheme):
    assert guess_scheme([BY_HAND[scheme].split(), ["O", "O"]]) == scheme


@pytest.mark.parametrize("tag", ["X", "B", "B-", "Q-X", "-X", "BB-X", ""])
def test_no_tags(tag):
    with pytest.raises(ValueError, match="is no tag"):
        split_tag(tag)


def test_a_type_may_hold_hyphens():
    assert split_tag("B-cell-line") == ("B", "cell-line")


@pytest.mark.parametrize("wrong", [[(0, 2, "X"), (1, 3, "X")], [(2, 2, "X")], [(0, 9, "X")], [(-1, 1, "X")]])
def test_spans_that_tags_cannot_hold(wrong):
    with pytest.raises(UsageError, match="Expected spans apart and inside 0 to 4"):
        from_spans(wrong, 4)


def test_unknown_scheme():
    with pytest.raises(UsageError, match="Expected scheme to be a known one"):
        starts_and_ends(["O"], "IOC")
