"""Who trains and who tests: stratified splits, and grouped ones that keep near copies on one side."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bioutils.errors import UsageError, expected

TEST, VALIDATION = 0.2, 0.1


class Split(NamedTuple):
    """Row numbers (int arrays, ascending) of the three parts; together they are all rows, each once."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def stratified(
    labels: Sequence[int] | np.ndarray, *, seed: int, test: float = TEST, validation: float = VALIDATION
) -> Split:
    """A random split in which every part holds the same share of each label. Raises UsageError on too few rows."""
    labels = _checked(labels, test, validation)
    rest, test_rows = _draw(np.arange(len(labels)), labels, round(test * len(labels)), seed)
    train, validation_rows = _draw(rest, labels, round(validation * len(labels)), seed + 1)
    return Split(np.sort(train), np.sort(validation_rows), np.sort(test_rows))


def subsample(rows: np.ndarray, labels: np.ndarray, size: int, *, seed: int) -> np.ndarray:
    """``size`` of ``rows``, stratified, ascending; 0 means all. Raises UsageError when there are fewer."""
    if size == 0 or size == len(rows):
        return rows
    if not 0 < size < len(rows):
        raise UsageError(expected("size", f"0 (all) to {len(rows)}, the rows there are", size))
    return np.sort(_draw(rows, labels, size, seed)[1])


def grouped(
    labels: Sequence[int] | np.ndarray,
    groups: Sequence[int] | np.ndarray,
    *,
    seed: int,
    test: float = TEST,
    validation: float = VALIDATION,
) -> Split:
    """A random split in which no group is in two parts, and the shares of the labels stay as near as groups allow.

    Groups are dealt from large to small, each to the part that lacks its labels most; ties and equal sizes by ``seed``.
    """
    labels, groups = _checked(labels, test, validation), np.asarray(groups)
    n_labels = labels.max() + 1
    ids, members = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(ids), n_labels))
    np.add.at(counts, (members, labels), 1)  # (groups, labels)
    totals = counts.sum(0)
    room = np.outer([1 - test - validation, validation, test], totals)  # (parts, labels): rows still wanted
    wanted = np.maximum(room, 1e-9)
    order = np.lexsort((np.random.default_rng(seed).permutation(len(ids)), -counts.sum(1)))
    part = np.empty(len(ids), dtype=int)
    for group in order:
        # The part with the largest unmet share of what this group brings.
        part[group] = np.argmax((room / wanted) @ counts[group])
        room[part[group]] -= counts[group]
    rows = part[members]
    split = Split(*(np.flatnonzero(rows == i) for i in range(3)))
    for name, found in zip(Split._fields, split, strict=True):
        if len(np.unique(labels[found])) < len(np.unique(labels)):
            raise UsageError(
                f"The groups are too few or too large: the {name} part lacks a label. Use the random split."
            )
    return split


def grouped_folds(
    labels: Sequence[int] | np.ndarray, groups: Sequence[str] | np.ndarray, *, n: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """``n`` pairs (rows to train on, rows to test on): each row tested once, no group on both sides, labels spread evenly.

    Raises UsageError for fewer than two folds and for more folds than groups.
    """
    import warnings

    from sklearn.model_selection import StratifiedGroupKFold

    n_groups = len(set(groups))
    if not 2 <= n <= n_groups:
        raise UsageError(expected("folds", f"2 to {n_groups}, the documents there are", n))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a label rarer than the folds: it cannot be in each
        method = StratifiedGroupKFold(n, shuffle=True, random_state=seed % 2**32)
        if max(Counter(labels).values()) < n:  # no label has a row for each fold: there is nothing to spread
            labels = np.zeros(len(groups), dtype=int)
        return list(method.split(np.zeros(len(labels)), labels, groups))


def contiguous_folds(n_rows: int, *, n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """``n`` pairs (train, test) of blocks in the rows' order, as the relation experiments had them: neither shuffled nor
    stratified, and the pairs of a sentence at a block's edge fall on both sides. Raises UsageError for more folds than rows."""
    if not 2 <= n <= n_rows:
        raise UsageError(expected("folds", f"2 to {n_rows}, the examples there are", n))
    blocks = np.array_split(np.arange(n_rows), n)
    return [(np.concatenate([b for b in blocks if b is not block]), block) for block in blocks]


def hold_out(
    rows: np.ndarray, labels: np.ndarray, groups: np.ndarray, *, seed: int, share: float = VALIDATION
) -> tuple[np.ndarray, np.ndarray]:
    """``rows`` in two: to train on, and about ``share`` of them to choose epochs by; by group and label as ``grouped_folds``."""
    n = max(2, min(round(1 / share), len(set(groups[rows]))))
    kept, held = grouped_folds(labels[rows], groups[rows], n=n, seed=seed)[0]
    return rows[kept], rows[held]


def _checked(labels, test: float, validation: float) -> np.ndarray:
    labels = np.asarray(labels)
    if not (0 < test < 1 and 0 < validation < 1 and test + validation < 1):
        raise UsageError(expected("test and validation", "shares that leave some for training", (test, validation)))
    rare = {int(label): n for label, n in Counter(labels.tolist()).items() if n < 3}
    if rare or len(labels) == 0:
        raise UsageError(f"Every label needs three rows, one for each part; found {rare or 'no rows'}.")
    return labels


def _draw(rows: np.ndarray, labels: np.ndarray, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.model_selection import train_test_split

    size = max(size, len(np.unique(labels[rows])))
    try:
        return train_test_split(rows, test_size=size, stratify=labels[rows], random_state=seed % 2**32)
    except ValueError as error:
        raise UsageError(f"{len(rows)} rows cannot be split with {size} in one part: {error}") from None


# A name without what makes it one of a family: "negative regulation of X", "X" and "regulation of X" are one.
FAMILY = re.compile(r"^(?:(?:positive|negative) )?regulation of ")
SHINGLE = 3  # words; two definitions that share many runs of three words were written from one another
TEMPLATE = (
    0.002  # a run of words in more definitions than this share is house style ("any process that stops"), not content
)
# Jaccard of the content shingles from which on two definitions count as near copies. Looked at on 28,470 real definitions:
# at 0.6 the largest group has 79 terms (cell fates) and 47 % have a copy; at 0.4 unlike terms chain to a group of 462; at 0.8
# siblings such as the toll-like receptors come apart. Without the rule above, 0.6 would chain 7,448 terms together.
SIMILAR = 0.6


def family_name(name: str) -> str:
    """A term's name without its regulation prefixes, lower-cased.

    >>> family_name("Negative regulation of positive regulation of DNA repair")
    'dna repair'
    """
    name = name.lower()
    while (shorter := FAMILY.sub("", name)) != name:
        name = shorter
    return name


def near_copy_groups(names: Sequence[str], texts: Sequence[str]) -> np.ndarray:
    """A group number a row (int array): rows of one group are near copies of each other, directly or by a chain.

    Two rows are joined when their names belong to one regulation family, when their texts are equal but for case and
    punctuation, or when the Jaccard similarity of their runs of three words is at least 0.6, runs that very many
    definitions share left out: else the curators' stock phrases would chain half of the ontology together.
    """
    from scipy.sparse import coo_array, csr_array
    from scipy.sparse.csgraph import connected_components
    from sklearn.feature_extraction.text import CountVectorizer

    n = len(texts)
    words = [" ".join(re.findall(r"\w+", text.lower())) for text in texts]
    left, right = [], []
    for keys in ([family_name(name) for name in names], words):
        first: dict[str, int] = {}
        for row, key in enumerate(keys):
            left.append(row)
            right.append(first.setdefault(key, row))
    try:
        every = CountVectorizer(binary=True, ngram_range=(SHINGLE, SHINGLE), token_pattern=r"\w+")
        every = csr_array(every.fit_transform(words))
    except ValueError:  # no text has three words: nothing more to compare
        every = None
    if every is not None:
        in_texts = every.sum(axis=0)  # (shingles,): in how many definitions
        content = every[:, np.flatnonzero(in_texts <= max(5, TEMPLATE * n))].astype(np.float32)
        total = content.sum(axis=1)
        for start in range(0, n, 2000):  # a block of rows at a time keeps memory flat
            common = (content[start : start + 2000] @ content.T).tocoo()
            i, j = common.row + start, common.col
            similar = (i < j) & (common.data >= SIMILAR * (total[i] + total[j] - common.data))
            left.extend(i[similar].tolist())
            right.extend(j[similar].tolist())
    edges = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(n, n))
    return connected_components(edges, directed=False)[1]


def rows_with_near_copy(groups: np.ndarray, split: Split) -> np.ndarray:
    """A boolean a test row: True where a near copy of it is among the training rows."""
    return np.isin(groups[split.test], groups[split.train])
