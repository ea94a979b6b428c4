"""Sentences that nearly copy texts which must stay unseen, found by the runs of words they share."""

import re
import zlib
from collections.abc import Iterable, Sequence

import numpy as np

RUN = 5  # words: shorter runs are stock phrases ("in the presence of"), longer ones miss an edited copy
SHARE = 0.5  # of a sentence's runs: a sentence that merely quotes a phrase stays, one that is mostly copied goes
WORD = re.compile(r"\w+")
STEP = np.uint64(0x100000001B3)  # FNV's prime: spreads the words of a run over 64 bits


def run_hashes(text: str) -> np.ndarray:
    """A number (uint64) a run of five words, without regard to case and punctuation; a shorter text is one run."""
    words = np.array([zlib.crc32(word.encode()) for word in WORD.findall(text.lower())], dtype=np.uint64)
    n = max(1, len(words) - RUN + 1)
    hashes = np.full(n, len(words) if len(words) < RUN else RUN, dtype=np.uint64)
    for place in range(min(RUN, len(words))):
        hashes = hashes * STEP ^ words[place : place + n]
    return hashes


class TextIndex:
    """The runs of words of texts that must not be seen in training."""

    def __init__(self, texts: Iterable[str]):
        hashes = [run_hashes(text) for text in texts]
        self.runs = np.unique(np.concatenate(hashes)) if hashes else np.empty(0, dtype=np.uint64)

    def copied(self, sentences: Sequence[str]) -> list[bool]:
        """For each sentence, whether at least half of its runs are those of the texts.

        >>> TextIndex(["The p53 gene is mutated in half of all tumours."]).copied(
        ...     ["the p53 gene is mutated in half of all tumors", "A gene is mutated in few tumours."]
        ... )
        [True, False]
        """
        if not len(self.runs):
            return [False] * len(sentences)
        found = []
        for sentence in sentences:
            hashes = run_hashes(sentence)
            places = np.minimum(np.searchsorted(self.runs, hashes), len(self.runs) - 1)
            found.append(bool((self.runs[places] == hashes).mean() >= SHARE))
        return found
