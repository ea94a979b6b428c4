import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bioutils.corpora import splits
from bioutils.errors import UsageError


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(40, 200))
def test_every_row_is_in_one_part_and_shares_hold(seed, n):
    labels = np.arange(n) % 2
    parts = splits.stratified(labels, seed=seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))
    assert len(parts.test) == round(0.2 * n)
    for rows in parts:
        assert abs(labels[rows].mean() - 0.5) < 0.13


def test_the_seed_decides():
    labels = np.arange(90) % 3
    again = [splits.stratified(labels, seed=seed).test.tolist() for seed in (1, 1, 2)]
    assert again[0] == again[1] != again[2]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_no_group_is_divided(seed):
    rng = np.random.default_rng(seed)
    groups, labels = rng.integers(0, 60, 300), rng.integers(0, 2, 300)
    parts = splits.grouped(labels, groups, seed=seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(300))
    assert not set(groups[parts.train]) & set(groups[parts.test])
    assert not set(groups[parts.train]) & set(groups[parts.validation])
    assert not set(groups[parts.test]) & set(groups[parts.validation])
    assert 30 <= len(parts.test) <= 90


def test_one_giant_group_is_refused():
    with pytest.raises(UsageError, match="too few or too large"):
        splits.grouped([0, 1] * 10, [0] * 20, seed=0)


@pytest.mark.parametrize("labels", [[], [0, 0, 0, 1]])
def test_too_few_rows(labels):
    with pytest.raises(UsageError, match="three rows"):
        splits.stratified(labels, seed=0)


def test_shares_that_leave_nothing():
    with pytest.raises(UsageError, match="leave some for training"):
        splits.stratified([0, 1] * 10, seed=0, test=0.6, validation=0.4)


def test_subsample_is_stratified_and_refuses_more_than_there_is():
    labels = np.array([0] * 80 + [1] * 20)
    rows = splits.subsample(np.arange(100), labels, 50, seed=0)
    assert labels[rows].tolist().count(1) == 10
    assert splits.subsample(rows, labels, 0, seed=0) is rows
    with pytest.raises(UsageError, match="0 \\(all\\) to 50"):
        splits.subsample(rows, labels, 51, seed=0)


def test_near_copies():
    names = ["DNA repair", "negative regulation of DNA repair", "ear growth", "eye growth", "lipid transport", "x", "y"]
    texts = [
        "Mending of broken strands after damage.",
        "Any process that stops the rate of mending.",
        "The increase in size of the left ear during the second week of life in mice.",
        "The increase in size of the left eye during the second week of life in mice.",
        "Moving fat through water by a carrier.",
        "The same, twice!",
        "the same twice",
    ]
    groups = splits.near_copy_groups(names, texts)
    assert groups[0] == groups[1]  # one regulation family
    assert groups[2] == groups[3]  # one word apart
    assert groups[5] == groups[6]  # equal but for case and punctuation
    assert len(set(groups.tolist())) == 4


def test_stock_phrases_alone_join_nothing():
    stock = "Any process that stops, prevents or reduces the frequency, rate or extent of"
    texts = [f"{stock} w{i}a w{i}b w{i}c w{i}d w{i}e." for i in range(40)]
    groups = splits.near_copy_groups([f"n{i}" for i in range(40)], texts)
    assert len(set(groups.tolist())) == 40


def test_rows_with_near_copy():
    split = splits.Split(np.array([0, 1]), np.array([4]), np.array([2, 3]))
    assert splits.rows_with_near_copy(np.array([7, 8, 8, 9, 9]), split).tolist() == [True, False]


def test_more_folds_than_any_label_has_rows():
    labels, groups = np.array([0, 1] * 4), np.array(list("abcdefgh"))
    folds = splits.grouped_folds(labels, groups, n=8, seed=0)
    assert sorted(int(i) for _, test in folds for i in test) == list(range(8))
