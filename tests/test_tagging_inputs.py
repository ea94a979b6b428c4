import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bioutils.encoders import load_tokenizer
from bioutils.errors import UsageError
from bioutils.tagging_inputs import _windows, tagging_inputs


@pytest.fixture(scope="module")
def tokenizer(model_dir):
    return load_tokenizer(str(model_dir))


@settings(deadline=None, max_examples=80)
@given(lengths=st.lists(st.integers(1, 9), max_size=60), room=st.integers(10, 40), stride=st.integers(0, 4))
def test_each_word_is_answered_once_and_every_window_fits(lengths, room, stride):
    found = _windows(lengths, room, stride)
    answered = [word for _, _, a, b in found for word in range(a, b)]
    assert answered == list(range(len(lengths)))
    for first, last, a, b in found:
        assert first <= a < b <= last
        assert sum(lengths[first:last]) <= room


def test_words_in_the_middle_have_context_on_both_sides():
    found = _windows([1] * 100, 30, 10)
    for first, last, a, b in found:
        assert a - first >= 5 or first == 0
        assert last - b >= 5 or last == 100
    assert len(found) == 5


def test_by_hand(tokenizer):
    sentences = [["growth", "of", "cells"], ["zinc-binding", "the"]]
    found = tagging_inputs(sentences, tokenizer, max_length=20, stride=4)
    assert found.sentence.tolist() == [0, 1]
    assert [w.tolist() for w in found.words] == [[0, 1, 2], [0, 1]]
    assert [p.tolist() for p in found.places] == [[1, 2, 3], [1, 4]], "the label of a word is at its first piece"
    assert tokenizer.decode([found.input_ids[1][4]]) == "the"
    assert (found.n_windowed, found.n_unknown, found.n_cut) == (0, 0, 0)


def test_long_sentences_and_odd_words_are_kept_and_counted(tokenizer):
    words = ["growth"] * 50 + ["\u200b"] + ["a-" * 40] + ["zinc"]
    found = tagging_inputs([words], tokenizer, max_length=24, stride=6)
    assert sorted(np.concatenate(found.words).tolist()) == list(range(53))
    assert all(len(ids) <= 24 for ids in found.input_ids)
    assert (found.n_windowed, found.n_cut) == (1, 1)
    for ids, numbers, places in zip(found.input_ids, found.words, found.places, strict=True):
        for word, place in zip(numbers, places, strict=True):
            if word in (0, 49, 52):
                assert tokenizer.decode([ids[place]]) == words[word]


def test_ten_thousand_words(tokenizer):
    found = tagging_inputs([["growth"] * 10_000], tokenizer, max_length=64, stride=16)
    assert sum(len(w) for w in found.words) == 10_000


def test_nothing_and_too_little_room(tokenizer):
    assert tagging_inputs([], tokenizer, max_length=70).input_ids == []
    assert tagging_inputs([[]], tokenizer, max_length=70).input_ids == []
    with pytest.raises(UsageError, match="Expected max_length to be more than twice the stride"):
        tagging_inputs([["a"]], tokenizer, max_length=24, stride=20)
