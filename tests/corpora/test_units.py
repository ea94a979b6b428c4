import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioutils.corpora.tags import from_spans, illegal, to_spans
from bioutils.corpora.units import to_unit_tags, to_word_tags, unit_places, units_of

WORDS = st.lists(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=6), min_size=1, max_size=9)


@given(words=WORDS)
def test_no_sign_is_lost_and_each_word_begins_a_unit(words):
    units, first = units_of(words)
    edges = [*first, len(units)]
    for word, start, end in zip(words, edges, edges[1:], strict=False):
        assert end > start
        assert [c for c in "".join(units[start:end]) if c.isalnum()] == [c for c in word if c.isalnum()]


@given(words=WORDS, data=st.data(), scheme=st.sampled_from(["IOB1", "IOB2", "IOBES", "BILOU"]))
def test_tags_come_back_from_units(words, data, scheme):
    cuts = sorted(data.draw(st.sets(st.integers(0, len(words)), max_size=4)))
    spans = [(a, b, kind) for a, b, kind in zip(cuts, cuts[1:], "XYX", strict=False)]
    tags, units = from_spans(spans, len(words), scheme), units_of(words)
    fine = to_unit_tags(tags, units, scheme)
    assert len(fine) == len(units.units)
    assert not illegal(fine, scheme)
    assert to_word_tags(fine, units, scheme) == tags


@pytest.mark.parametrize(
    ("unit_tags", "word_tags"),
    [
        (["B-p", "I-p", "I-p", "O"], ["B-p", "O"]),
        (["B-p", "O", "O", "O"], ["B-p", "O"]),  # the first unit decides
        (["O", "O", "B-p", "O"], ["O", "O"]),  # inside a word: dropped
        (["O", "O", "B-p", "I-p"], ["O", "B-p"]),
        (["B-p", "B-q", "I-q", "I-q"], ["B-p", "B-q"]),
    ],
)
def test_an_entity_has_the_words_whose_first_units_it_has(unit_tags, word_tags):
    assert to_word_tags(unit_tags, units_of(["IL-2", "gene"])) == word_tags


def test_places_in_a_text():
    text = "IL-2_Rα, 5 µg"
    assert [text[a:b] for a, b in unit_places(text)] == ["IL", "-", "2", "_", "Rα", ",", "5", "µg"]
    assert [text[a:b] for a, b in unit_places(text, 3, 7)] == ["2", "_", "Rα"]
    assert to_spans(to_unit_tags(["B-x"], units_of(["a-b"]))) == [(0, 3, "x")]
