"""Two cheap ways to find entities, to hold a tagger against: a list of known names, and a CRF over hand-made features."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Protocol

from bioutils.corpora.tags import TokenSpan, from_spans, to_spans
from bioutils.errors import UsageError

Words = Sequence[str]


class TagBaseline(Protocol):
    """Fitted on words and tags; gives tags of words."""

    def predict(self, sentences: Sequence[Words]) -> list[list[str]]:
        """Tags of each sentence."""


class Gazetteer:
    """Every name of the training sentences, whatever the case, found again by the longest match.

    A name is kept where at least half of its occurrences in the training sentences are entities; its type is its commonest.
    """

    def __init__(self, sentences: Sequence[Words], tags: Sequence[Sequence[str]], *, scheme: str = "IOB2"):
        if not len(sentences):
            raise UsageError("Expected sentences to hold one or more, found none.")
        self.scheme = scheme
        named: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for words, found in zip(sentences, tags, strict=True):
            for span in to_spans(found, scheme):
                named[_key(words[span.start : span.end])][span.type] += 1
        self.names = {key: kinds.most_common(1)[0][0] for key, kinds in named.items()}
        self.longest = max(map(len, self.names), default=0)
        seen: Counter[tuple[str, ...]] = Counter()
        for words in sentences:
            low = _key(words)
            seen.update(
                low[i : i + n]
                for n in range(1, self.longest + 1)
                for i in range(len(low) - n + 1)
                if low[i : i + n] in self.names
            )
        self.names = {k: kind for k, kind in self.names.items() if 2 * named[k].total() >= seen[k]}

    def predict(self, sentences: Sequence[Words]) -> list[list[str]]:
        """Tags of each sentence: from left to right the longest known name at each place."""
        found = []
        for words in sentences:
            low, spans, i = _key(words), [], 0
            while i < len(low):
                n = next(
                    (n for n in range(self.longest, 0, -1) if low[i : i + n] in self.names and i + n <= len(low)), 0
                )
                if n:
                    spans.append(TokenSpan(i, i + n, self.names[low[i : i + n]]))
                i += max(1, n)
            found.append(from_spans(spans, len(low), self.scheme))
        return found


def _key(words: Words) -> tuple[str, ...]:
    return tuple(word.lower() for word in words)


class FeatureCRF:
    """A linear-chain CRF over words' forms and their neighbours' (Settles 2004), by CRFsuite."""

    def __init__(self, sentences: Sequence[Words], tags: Sequence[Sequence[str]], *, iterations: int = 60):
        from sklearn_crfsuite import CRF

        if not len(sentences):
            raise UsageError("Expected sentences to hold one or more, found none.")
        self.model = CRF(algorithm="lbfgs", c1=0.05, c2=0.05, max_iterations=iterations, min_freq=2)
        self.model.fit([features(words) for words in sentences], [list(found) for found in tags])

    def predict(self, sentences: Sequence[Words]) -> list[list[str]]:
        """Tags of each sentence."""
        return [list(found) for found in self.model.predict([features(words) for words in sentences])]


def shape(word: str) -> str:
    """The kinds of a word's signs, runs joined.

    >>> shape("IL-2Ralpha")
    'A-0Aa'
    """
    kinds = []
    for sign in word:
        kind = "A" if sign.isupper() else "a" if sign.isalpha() else "0" if sign.isdigit() else sign
        if not kinds or kinds[-1] != kind:
            kinds.append(kind)
    return "".join(kinds)


def features(words: Words) -> list[list[str]]:
    """The features of each word of a sentence: its form, beginnings, endings and shape, and those of two words on each side."""
    low = [word.lower() for word in words]
    shapes = [shape(word) for word in words]
    rows: list[list[str]] = []
    for i, word in enumerate(low):
        row = ["always", f"shape={shapes[i]}", f"long={min(len(word), 9)}"]
        row += [f"starts={word[:n]}" for n in (2, 3, 4)] + [f"ends={word[-n:]}" for n in (2, 3, 4)]
        for step in (-2, -1, 0, 1, 2):
            if 0 <= i + step < len(words):
                row += [f"{step}:{low[i + step]}", f"{step}:shape={shapes[i + step]}"]
            else:
                row.append(f"{step}:outside")
        row += [f"pair={low[i - 1]} {word}"] if i else []
        row += [f"pair={word} {low[i + 1]} after"] if i + 1 < len(low) else []
        rows.append(row)
    return rows


def baselines(
    sentences: Sequence[Words], tags: Sequence[Sequence[str]], *, scheme: str = "IOB2"
) -> dict[str, TagBaseline]:
    """Both, fitted, by name."""
    return {"gazetteer": Gazetteer(sentences, tags, scheme=scheme), "feature CRF": FeatureCRF(sentences, tags)}
