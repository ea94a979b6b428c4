"""What a tagger got wrong, and its report, as text: the forms in which earlier experiments printed and kept them."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bioutils.corpora.conll import Sentence
from bioutils.corpora.tags import to_spans
from bioutils.errors import UsageError, expected
from bioutils.evaluation.spans import SpanReport
from bioutils.files import atomic_writer

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("TOKEN", "LABEL", "PRED")


def mistakes_text(sentences: Sequence[Sentence], predicted: Sequence[Sequence[str]], *, most: int | None = None) -> str:
    """The sentences with at least one wrong word, in columns TOKEN, LABEL, PRED, a wrong word's line ending in <.

    ``most``: of the first so many such sentences. Raises UsageError where numbers of sentences differ.
    """
    if len(sentences) != len(predicted):
        raise UsageError(expected("predicted", f"tags of {len(sentences)} sentences", len(predicted)))
    blocks: list[str] = []
    for sentence, tags in zip(sentences, predicted, strict=True):
        if tuple(tags) == sentence.tags:
            continue
        if most is not None and len(blocks) == most:
            break
        rows = [COLUMNS, *zip(sentence.tokens, sentence.tags, tags, strict=True)]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        marked = [
            line.rstrip() + "  <" * (i > 0 and row[1] != row[2])
            for i, (line, row) in enumerate(zip(lines, rows, strict=True))
        ]
        blocks.append("\n".join(marked))
    return "\n\n".join(blocks)


def write_report(
    report: SpanReport, path: Path | str, *, best_epoch: int, train_loss: float, validation_loss: float
) -> None:
    """``classification_report.txt``: by span, by word, then the best epoch and its losses; numbers to four digits."""
    with atomic_writer(path) as stream:
        stream.write("by span\n" + report.per_type.to_string(index=False, float_format="%.4f"))
        stream.write("\n\nby word\n" + report.words.to_string(index=False, float_format="%.4f"))
        stream.write(
            f"\n\nbest epoch: {best_epoch}\ntraining loss: {train_loss:.4f}\nvalidation loss: {validation_loss:.4f}\n"
        )


def span_confusion(
    sentences: Sequence[Sentence], predicted: Sequence[Sequence[str]], types: Sequence[str], *, scheme: str = "IOB2"
) -> "pd.DataFrame":
    """Gold types (rows) by predicted types (columns) of spans that share a word; "none" for what meets no other side.

    A gold span counts once for each type of predicted span that it meets.
    """
    import pandas as pd

    names = [*types, "none"]
    table = pd.DataFrame(0, index=names, columns=names)
    for sentence, tags in zip(sentences, predicted, strict=True):
        gold, found = to_spans(sentence.tags, scheme), to_spans(tags, scheme)
        for true, kind in _meetings(gold, found):
            table.loc[true, kind] += 1
    return table


def _meetings(gold: Iterable, found: Sequence) -> Iterator[tuple[str, str]]:
    met = set()
    for span in gold:
        touching = {i for i, other in enumerate(found) if span.start < other.end and other.start < span.end}
        met |= touching
        for kind in {found[i].type for i in touching} or {"none"}:
            yield span.type, kind
    for i, other in enumerate(found):
        if i not in met:
            yield "none", other.type
