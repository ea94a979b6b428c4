import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bioutils.corpora.marking import marker_tokens
from bioutils.corpora.records import Span
from bioutils.corpora.relations import Example
from bioutils.encoders import load_tokenizer
from bioutils.errors import UsageError
from bioutils.relation_inputs import SEGMENTS, _segments, _window, relation_inputs

WORDS = ["growth", *["number"] * 30, "zinc", *["cell"] * 30]


def example(words: list[str], first: int, second: int) -> Example:
    """The two words at these places are the entities."""
    text, starts = "", []
    for word in words:
        starts.append(len(text))
        text += word + " "
    spans = [
        Span(f"T{i}", "A", ((starts[n], starts[n] + len(words[n])),), words[n]) for i, n in enumerate((first, second))
    ]
    return Example("e", "g", text, *spans, "x")


@pytest.fixture(scope="module")
def tokenizer(model_dir):
    return load_tokenizer(str(model_dir))


def test_segments_by_hand(tokenizer):
    found = relation_inputs(
        [example("a growth of zinc binds the cell .".split(), 1, 6)], tokenizer, marking="none", max_length=20
    )
    (row,) = found.segments
    words = {s: tokenizer.decode(found.input_ids[0][a:b]) for s, (a, b) in zip(SEGMENTS, row, strict=True)}
    assert words == {
        "before": "[CLS] a growth", "first": "a growth of", "between": "growth of zinc binds the cell",
        "second": "the cell .", "after": "cell . [SEP]",
    }  # fmt: skip
    assert found.swapped.tolist() == [0]


def test_order_is_that_of_the_text_and_swapped_says_so(tokenizer):
    words = "a growth of zinc binds the cell .".split()
    forth, back = (
        relation_inputs([example(words, *p)], tokenizer, marking="none", max_length=20) for p in ((1, 6), (6, 1))
    )
    assert (forth.segments == back.segments).all()
    assert (forth.swapped.tolist(), back.swapped.tolist()) == ([0], [1])


@pytest.mark.parametrize(
    ("places", "empty"), [([(3, 6), (4, 5)], "between"), ([(3, 5), (3, 5)], "between"), ([(1, 3), (3, 5)], "between")]
)
def test_nested_and_touching_entities_leave_an_empty_segment(places, empty):
    found = dict(zip(SEGMENTS, _segments(places, 9), strict=True))
    assert found[empty][0] == found[empty][1]
    assert found["after"][1] == 9


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(2, 60),
    places=st.lists(st.integers(0, 59), min_size=2, max_size=2, unique=True),
    length=st.integers(12, 64),
)
def test_windows_keep_both_entities_and_count_what_is_lost(tokenizer, n, places, length):
    first, second = (place % n for place in places)
    if first == second:
        return
    words = ["number"] * n
    words[first], words[second] = "growth", "zinc"
    found = relation_inputs([example(words, first, second)], tokenizer, marking="none", max_length=length)
    (ids,) = found.input_ids
    assert len(ids) <= length
    assert len(ids) == min(length, n + 2), "no room is wasted"
    text = tokenizer.decode(ids).split()
    assert "growth" in text
    assert "zinc" in text
    assert (ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
    assert found.n_windowed == (n + 2 > length)
    assert found.n_elided == (abs(first - second) + 1 > length - 2)
    role = {"growth": 1, "zinc": 3} if first < second else {"zinc": 1, "growth": 3}
    for word, segment in role.items():
        start, end = found.segments[0, segment]
        assert word in tokenizer.decode(ids[start:end]).split()


def test_an_entity_longer_than_the_window_keeps_its_beginning():
    keep = _window(100, [(0, 90), (95, 97)], 20)
    assert keep[0] == 0
    assert {95, 96} <= set(keep.tolist())
    assert len(keep) <= 20
    assert (np.diff(keep) > 0).all()


def test_marker_tokens_must_be_known(model_dir):
    tokenizer, pair = load_tokenizer(str(model_dir)), example(["growth", "of", "zinc"], 0, 2)
    with pytest.raises(UsageError, match=r"lacks the tokens \['\[/E1\]'"):
        relation_inputs([pair], tokenizer, marking="markers", max_length=20)
    tokenizer.add_tokens(marker_tokens([pair]), special_tokens=True)
    found = relation_inputs([pair], tokenizer, marking="markers", max_length=20)
    assert len(found.input_ids[0]) == 9
    with pytest.raises(UsageError, match="Expected max_length to be 12 tokens or more"):
        relation_inputs([pair], tokenizer, marking="none", max_length=5)


def test_no_examples(tokenizer):
    found = relation_inputs([], tokenizer, marking="none", max_length=20)
    assert found.segments.shape == (0, 5, 2)
    assert found.input_ids == []
