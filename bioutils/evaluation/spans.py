"""Scores of entity recognition by spans, under their true names: exact, partial and type-only matches, per type and averaged.

A predicted span is right when its borders and its type are those of a gold span (Tjong Kim Sang & De Meulder 2003). Words that a
model never saw, because they were cut, are scored too: gold is never cut.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bioutils.corpora.tags import TokenSpan, split_tag, to_spans
from bioutils.errors import UsageError, expected

if TYPE_CHECKING:
    import pandas as pd

AVERAGES = ("micro", "macro", "weighted")
KINDS = ("exact", "wrong_type", "wrong_borders", "wrong_both", "missed", "invented")


@dataclass(frozen=True)
class SpanReport:
    """``metrics`` (flat), ``per_type`` (a row a type, then the averages), ``words`` (the same by word), ``errors`` (counts)."""

    metrics: dict[str, float]
    per_type: "pd.DataFrame"
    words: "pd.DataFrame"
    errors: dict[str, int] = field(repr=False)

    def __str__(self) -> str:
        low, high = self.metrics.get("micro_f1_low", np.nan), self.metrics.get("micro_f1_high", np.nan)
        interval = f"  (95 % interval {low:.4f} to {high:.4f})" if np.isfinite(low) else ""
        return "\n".join(
            [
                f"micro F1 of spans {self.metrics['micro_f1']:.4f}{interval}",
                "",
                self.per_type.round(4).to_string(index=False),
                "",
                "by word",
                self.words.round(4).to_string(index=False),
            ]
        )


def _f1(hits: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    precision = np.divide(hits, predicted, out=np.zeros(np.shape(hits)), where=np.asarray(predicted) > 0)
    recall = np.divide(hits, true, out=np.zeros(np.shape(hits)), where=np.asarray(true) > 0)
    both = np.asarray(predicted) + np.asarray(true)
    return precision, recall, np.divide(2 * np.asarray(hits), both, out=np.zeros(np.shape(hits)), where=both > 0)


def span_counts(
    gold: Sequence[Sequence[TokenSpan]], predicted: Sequence[Sequence[TokenSpan]], types: Sequence[str]
) -> np.ndarray:
    """Right, predicted and gold spans, (sentences, types, 3)."""
    place = {kind: i for i, kind in enumerate(types)}
    counts = np.zeros((len(gold), len(types), 3))
    for row, (true, found) in enumerate(zip(gold, predicted, strict=True)):
        for span in true:
            counts[row, place[span.type], 2] += 1
        for span in found:
            counts[row, place[span.type], 1] += 1
        for span in set(true) & set(found):
            counts[row, place[span.type], 0] += 1
    return counts


def evaluate_spans(
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    *,
    scheme: str = "IOB2",
    strict: bool = False,
    documents: Sequence[str] | None = None,
    n_bootstrap: int = 2_000,
    seed: int = 0,
) -> SpanReport:
    """The report on predicted tags against gold tags, both a sequence of sentences of tags of one length.

    Not ``strict`` reads illegal sequences as conlleval does; ``strict`` counts only whole legal entities (``tags.to_spans``).
    ``micro`` counts spans of all types together; ``macro`` is the mean over the types that gold or prediction has; ``weighted``
    weighs them by their gold spans (what seqeval's users often call macro). The interval of micro-F1 is over ``documents`` (over
    sentences where they are not given). Raises UsageError where sentences differ in number or length.
    """
    if len(gold) != len(predicted) or not len(gold):
        raise UsageError(expected("predicted", f"tags of {len(gold)} sentences, 1 or more", len(predicted)))
    for i, (one, other) in enumerate(zip(gold, predicted, strict=True)):
        if len(one) != len(other):
            raise UsageError(expected(f"predicted tags of sentence {i}", f"{len(one)}, one a word", len(other)))
    true, found = ([to_spans(tags, scheme, strict=strict) for tags in side] for side in (gold, predicted))
    types = sorted({span.type for side in (true, found) for spans in side for span in spans})
    counts = span_counts(true, found, types)
    table, metrics = _table(counts.sum(0), types)
    words = _word_table(gold, predicted)
    errors = error_counts(true, found)
    metrics |= {f"word_{name}": value for name, value in _averages_of(words).items()}
    metrics |= {f"n_{kind}": errors[kind] for kind in KINDS}
    metrics |= _partial(true, found)
    groups = np.arange(len(gold)) if documents is None else np.unique(np.asarray(documents), return_inverse=True)[1]
    metrics |= _interval(counts, groups, n_bootstrap, seed)
    metrics["n_sentences"], metrics["n_groups"] = len(gold), int(groups.max()) + 1
    return SpanReport(metrics, table, words, errors)


def _table(totals: np.ndarray, types: Sequence[str]) -> "tuple[pd.DataFrame, dict[str, float]]":
    """Precision, recall, F1 and support by type and averaged, of (types, 3) counts."""
    import pandas as pd

    scores = np.stack(_f1(totals[:, 0], totals[:, 1], totals[:, 2]), 1) if len(types) else np.zeros((0, 3))
    rows = [(kind, *values, int(support)) for kind, values, support in zip(types, scores, totals[:, 2], strict=True)]
    micro = np.array(_f1(*totals.sum(0)))
    macro = scores.mean(0) if len(types) else np.zeros(3)
    support = totals[:, 2].sum()
    weighted = (scores * totals[:, 2:]).sum(0) / support if support else np.zeros(3)
    metrics = {}
    for name, values in zip(AVERAGES, (micro, macro, weighted), strict=True):
        rows.append((f"{name} average", *values, int(support)))
        metrics |= {f"{name}_{what}": float(v) for what, v in zip(("precision", "recall", "f1"), values, strict=True)}
    metrics |= {f"f1_{kind}": float(score) for kind, score in zip(types, scores[:, 2], strict=True)}
    return pd.DataFrame(rows, columns=["type", "precision", "recall", "f1", "support"]), metrics


def _word_table(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> "pd.DataFrame":
    """The same by word: a word is right when its type is; O counts for no type and in no average."""
    pairs: Counter[tuple[str, str]] = Counter()
    for one, other in zip(gold, predicted, strict=True):
        pairs.update((split_tag(a)[1], split_tag(b)[1]) for a, b in zip(one, other, strict=True))
    types = sorted({kind for pair in pairs for kind in pair if kind})
    totals = np.zeros((len(types), 3))
    for i, kind in enumerate(types):
        totals[i] = (
            pairs[kind, kind],
            sum(n for (_, other), n in pairs.items() if other == kind),
            sum(n for (one, _), n in pairs.items() if one == kind),
        )
    return _table(totals, types)[0]


def _averages_of(table: "pd.DataFrame") -> dict[str, float]:
    averages = table.set_index("type")["f1"]
    return {f"{name}_f1": float(averages[f"{name} average"]) for name in AVERAGES}


def error_counts(gold: Sequence[Sequence[TokenSpan]], predicted: Sequence[Sequence[TokenSpan]]) -> dict[str, int]:
    """What became of the spans: each predicted one is exact, wrong in type, in borders or in both, or invented.

    ``missed``: gold spans that no predicted one shares a word with. A predicted span is compared with the gold span that it
    shares most words with, one of its own type where two share as many.
    """
    errors = Counter(dict.fromkeys(KINDS, 0))
    for true, found in zip(gold, predicted, strict=True):
        for span in found:
            shared = [(min(span.end, g.end) - max(span.start, g.start), g.type == span.type, g) for g in true]
            most = max(shared, key=lambda x: x[:2], default=(0, False, None))
            if most[0] <= 0:
                errors["invented"] += 1
                continue
            borders, kind = (span.start, span.end) == (most[2].start, most[2].end), most[1]
            errors[
                "exact" if borders and kind else "wrong_type" if borders else "wrong_borders" if kind else "wrong_both"
            ] += 1
        errors["missed"] += sum(not any(g.start < s.end and s.start < g.end for s in found) for g in true)
    return dict(errors)


def _partial(gold: Sequence[Sequence[TokenSpan]], predicted: Sequence[Sequence[TokenSpan]]) -> dict[str, float]:
    """Two laxer scores: ``partial_f1`` (types equal, a word shared) and ``borders_f1`` (borders equal, whatever the type)."""
    n_gold, n_found = sum(map(len, gold)), sum(map(len, predicted))
    recalled = precise = borders = 0
    for true, found in zip(gold, predicted, strict=True):
        overlap = lambda a, b: a.type == b.type and a.start < b.end and b.start < a.end  # noqa: E731
        recalled += sum(any(overlap(g, s) for s in found) for g in true)
        precise += sum(any(overlap(g, s) for g in true) for s in found)
        borders += len({s[:2] for s in true} & {s[:2] for s in found})
    precision, recall = precise / max(1, n_found), recalled / max(1, n_gold)
    partial = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"partial_f1": partial, "borders_f1": 2 * borders / max(1, n_gold + n_found)}


def _interval(counts: np.ndarray, groups: np.ndarray, n_bootstrap: int, seed: int) -> dict[str, float]:
    """The 95 % percentile interval of micro-F1 over resampled groups (Efron 1979)."""
    by_group = np.zeros((groups.max() + 1, 3))
    np.add.at(by_group, groups, counts.sum(1))
    n = len(by_group)
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=n_bootstrap)
    totals = times @ by_group  # (resamples, 3)
    low, high = np.quantile(_f1(totals[:, 0], totals[:, 1], totals[:, 2])[2], [0.025, 0.975])
    return {"micro_f1_low": float(low), "micro_f1_high": float(high)}
