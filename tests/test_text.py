import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioutils.corpora import find_root
from bioutils.corpora.pubmed import read_abstracts
from bioutils.text import sentences, word_count


def texts(source):
    return [span.text for span in sentences(source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("We grew E. coli at 37 °C. It died.", ["We grew E. coli at 37 °C.", "It died."]),
        ("See Fig. 2 and Smith et al. 2010. Then stop.", ["See Fig. 2 and Smith et al. 2010.", "Then stop."]),
        ("Levels fell. p53 was low. miR-21 rose.", ["Levels fell.", "p53 was low.", "miR-21 rose."]),
        ("It was 0.05 vs. 0.1. 12 mice died.", ["It was 0.05 vs. 0.1.", "12 mice died."]),
        ("It binds (By similarity). However, it leaves.", ["It binds (By similarity).", "However, it leaves."]),
        ("One line\nwrapped here.\n\nA new part", ["One line\nwrapped here.", "A new part"]),
        ("1. We aim high. 2. We fail.", ["1. We aim high.", "2. We fail."]),
        ("Grown for 24 h. The cells died.", ["Grown for 24 h.", "The cells died."]),
        ("After 20 min. at rest it moved.", ["After 20 min. at rest it moved."]),
        ("", []),
        (" \n\n ", []),
    ],
)
def test_by_hand(source, expected):
    assert texts(source) == expected


@given(st.text(alphabet='aBp5 .!?\n()"E,', max_size=120))
def test_no_character_is_lost_and_offsets_hold(source):
    spans = sentences(source)
    for span in spans:
        assert source[span.start : span.end] == span.text == span.text.strip() != ""
    assert all(before.end <= after.start for before, after in zip(spans, spans[1:], strict=False))
    assert "".join("".join(s.text.split()) for s in spans) == "".join(source.split())


def test_gold_sentences_of_the_sample():
    root = find_root("abstracts", sample=True)
    gold = json.loads((root / "gold_sentences.json").read_text(encoding="utf-8"))
    hits = extra = missed = 0
    for abstract in read_abstracts(root / "abstracts.jsonl"):
        found = {span.end for span in sentences(abstract.text)}
        ends, at = set(), 0
        for sentence in gold[abstract.id]:
            at = abstract.text.index(sentence, at) + len(sentence)
            ends.add(at)
        hits, extra, missed = hits + len(found & ends), extra + len(found - ends), missed + len(ends - found)
    assert 2 * hits / (2 * hits + extra + missed) > 0.98


def test_word_count():
    assert word_count("It's 2 words, or 5?") == 6
