"""Marked examples as token ids: windows around both entities where a sentence is too long, and where its segments lie."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bioutils.corpora.marking import mark, marker_tokens
from bioutils.corpora.relations import Example
from bioutils.errors import UsageError, expected

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SEGMENTS = ("before", "first", "between", "second", "after")  # first: of the two entities, the one that begins first


class RelationInputs(NamedTuple):
    """Token ids a row, and where the entities are in them.

    ``segments`` (rows, 5, 2): from and to (exclusive) of each of SEGMENTS, one neighbour on each side included; equal where a
    segment is empty. ``swapped`` (rows,): 1 where the second argument comes first. ``n_windowed`` texts were longer than
    ``max_length`` and keep the words around both entities; of these, in ``n_elided`` words between the two are lost too.
    """

    input_ids: list[list[int]]
    segments: np.ndarray
    swapped: np.ndarray
    n_windowed: int
    n_elided: int


def relation_inputs(
    examples: Sequence[Example], tokenizer: "PreTrainedTokenizerBase", *, marking: str, max_length: int
) -> RelationInputs:
    """The marked examples as token ids, each at most ``max_length`` long with both entities inside.

    With ``markers`` the tokenizer must know ``marker_tokens``. Raises UsageError where it does not, and where
    ``max_length`` leaves no room.
    """
    if max_length < 12:
        raise UsageError(expected("max_length", "12 tokens or more", max_length))
    if marking == "markers" and (unknown := set(marker_tokens(examples)) - set(tokenizer.get_vocab())):
        raise UsageError(f"The tokenizer lacks the tokens {sorted(unknown)}. Add them: tokenizer.add_tokens(…).")
    marked = [mark(example, marking) for example in examples]
    encoded = tokenizer(
        [m.text for m in marked], add_special_tokens=False, return_offsets_mapping=True, return_attention_mask=False,
        verbose=False,
    ) if marked else {"input_ids": [], "offset_mapping": []}  # fmt: skip
    ids, segments, swapped, n_windowed, n_elided = [], [], [], 0, 0
    room = max_length - 2  # [CLS] and [SEP]
    for m, tokens, offsets in zip(marked, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        places = [_tokens_of(place, offsets) for place in (m.first, m.second)]
        swapped.append(int(places[1] < places[0]))
        if len(tokens) > room:
            keep = _window(len(tokens), places, room)
            n_windowed += 1
            n_elided += bool(np.any(np.diff(keep) > 1))
            tokens = [tokens[i] for i in keep]
            places = [(int(np.searchsorted(keep, start)), int(np.searchsorted(keep, end))) for start, end in places]
        ids.append([tokenizer.cls_token_id, *tokens, tokenizer.sep_token_id])
        segments.append(_segments(sorted((start + 1, end + 1) for start, end in places), len(ids[-1])))
    return RelationInputs(
        ids,
        np.array(segments, dtype=np.int64).reshape(-1, 5, 2),
        np.array(swapped, dtype=np.int64),
        n_windowed,
        n_elided,
    )


def _tokens_of(place: tuple[int, int], offsets: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The tokens, from and to, that share a character with the place; one at least."""
    inside = [i for i, (start, end) in enumerate(offsets) if start < place[1] and end > place[0]]
    if inside:
        return inside[0], inside[-1] + 1
    near = min(sum(end <= place[0] for _, end in offsets), len(offsets) - 1)  # characters the tokenizer drops
    return near, near + 1


def _window(n: int, places: Sequence[tuple[int, int]], room: int) -> np.ndarray:
    """Which of ``n`` tokens to keep, ascending: both entities, and as many words around as there is room for."""
    (first, last) = min(p[0] for p in places), max(p[1] for p in places)
    if last - first <= room:
        start = min(max(0, first - (room - (last - first)) // 2), n - room)
        return np.arange(start, start + room)
    # Too far apart: half of the room around each, the words between them elided; a long entity keeps its beginning.
    halves = []
    for (start, end), half in zip(sorted(places), (room // 2, room - room // 2), strict=True):
        end = min(end, start + half)
        begin = min(max(0, start - (half - (end - start)) // 2), n - half)
        halves.append(np.arange(begin, begin + half))
    return np.unique(np.concatenate(halves))


def _segments(places: Sequence[tuple[int, int]], n: int) -> list[tuple[int, int]]:
    (a, b), (c, d) = places
    d = max(b, d)
    found = [(0, a), (a, b), (b, c), (c, d), (d, n)]
    return [(max(0, start - 1), min(n, end + 1)) if start < end else (start, start) for start, end in found]
