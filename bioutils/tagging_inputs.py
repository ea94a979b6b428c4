"""Words as token ids for tagging: a label for each word, at its first piece, and no word lost to a limit of tokens."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bioutils.errors import UsageError, expected

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class TaggingInputs(NamedTuple):
    """Windows over sentences, a row each: ids with [CLS] and [SEP], and which words are answered where.

    ``sentence``: the number of the sentence; ``words``: numbers of the words that this window answers for, ``places``: where
    their first pieces are in ``input_ids``. Each word of each sentence is in exactly one window's ``words``. ``n_windowed``
    sentences took more than one; ``n_unknown`` words had no piece and stand as [UNK]; of ``n_cut`` words, longer than a window,
    only the first pieces are read.
    """

    input_ids: list[list[int]]
    sentence: np.ndarray
    words: list[np.ndarray]
    places: list[np.ndarray]
    n_windowed: int
    n_unknown: int
    n_cut: int


def tagging_inputs(
    sentences: Sequence[Sequence[str]],
    tokenizer: "PreTrainedTokenizerBase",
    *,
    max_length: int,
    stride: int | None = None,
) -> TaggingInputs:
    """The words of each sentence as ids, in windows of at most ``max_length`` tokens that overlap by about ``stride`` (by
    default 32, or a quarter where that is less).

    Where a sentence needs several windows, each word is answered where it has most words around it: half of the overlap on
    each side is context alone. Raises UsageError where ``max_length`` leaves no room beside ``stride``.
    """
    room = max_length - 2
    stride = min(32, room // 4) if stride is None else stride
    if not 0 <= stride < room // 2:
        raise UsageError(expected("max_length", f"more than twice the stride of {stride}, and two", max_length))
    if not sentences:
        return TaggingInputs([], np.zeros(0, dtype=int), [], [], 0, 0, 0)
    encoded = tokenizer(
        [list(words) for words in sentences], is_split_into_words=True, add_special_tokens=False,
        return_attention_mask=False, verbose=False,
    )  # fmt: skip
    ids, sentence, answered, places = [], [], [], []
    n_windowed = n_unknown = n_cut = 0
    for number, words in enumerate(sentences):
        pieces: list[list[int]] = [[] for _ in words]
        for token, word in zip(encoded["input_ids"][number], encoded.word_ids(number), strict=True):
            pieces[word].append(token)
        for i, found in enumerate(pieces):
            if not found:  # signs that the tokenizer drops
                pieces[i] = [tokenizer.unk_token_id]
                n_unknown += 1
            elif len(found) > room:
                pieces[i] = found[:room]
                n_cut += 1
        windows = _windows([len(found) for found in pieces], room, stride)
        n_windowed += len(windows) > 1
        for first, last, answers_from, answers_to in windows:
            starts = np.cumsum([1, *(len(found) for found in pieces[first:last])])  # 1: [CLS]
            flat = [token for found in pieces[first:last] for token in found]
            ids.append([tokenizer.cls_token_id, *flat, tokenizer.sep_token_id])
            sentence.append(number)
            answered.append(np.arange(answers_from, answers_to))
            places.append(starts[answers_from - first : answers_to - first])
    return TaggingInputs(ids, np.array(sentence), answered, places, n_windowed, n_unknown, n_cut)


def _windows(lengths: Sequence[int], room: int, stride: int) -> list[tuple[int, int, int, int]]:
    """Windows over words of these lengths: (from, to) that are read, (from, to) that are answered."""
    n, ends = len(lengths), np.cumsum(lengths)
    if n == 0:
        return []
    if ends[-1] <= room:
        return [(0, n, 0, n)]
    starts = ends - np.asarray(lengths)
    found, answered = [], 0
    while answered < n:
        # As much context on the left as half of the stride allows, then words as long as there is room.
        first = int(np.searchsorted(starts, starts[answered] - stride // 2, side="left"))
        while ends[answered] - starts[first] > room:  # a long word leaves no room for context
            first += 1
        last = int(np.searchsorted(ends, starts[first] + room, side="right"))
        answers_to = (
            n
            if last == n
            else max(answered + 1, int(np.searchsorted(ends, ends[last - 1] - stride // 2, side="right")))
        )
        found.append((first, last, answered, answers_to))
        answered = answers_to
    return found
