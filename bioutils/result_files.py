"""The text files that relation experiments leave for each method: ``.res``, ``.pred``, ``.loss_acc`` and ``.det``.

The earlier system's formats, so that its results and ours are read by one command: ``<tag>result_<machine>_<micro|macro>.res``,
a line a repeat. Written anew by each experiment, never appended to another's.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bioutils.errors import DataError, UsageError, expected
from bioutils.files import atomic_writer, read_lines

AVERAGES = ("micro", "macro")
COLUMNS = ("precision", "recall", "fscore")


class Predictions(NamedTuple):
    """Class numbers of one repeat: the truth and what was predicted."""

    truth: np.ndarray
    predicted: np.ndarray


def file_tag(head: str, encoder: str, corpus: str, *, epochs: int, learning_rate: float) -> str:
    """``head_encoder_corpus_epN_lrX``, as the files' names begin.

    >>> file_tag("CNN_seg", "minilm", "pgxcorpus", epochs=5, learning_rate=3e-5)
    'CNN_seg_minilm_pgxcorpus_ep5_lr3e-05'
    """
    return f"{head}_{Path(encoder).name}_{corpus}_ep{epochs}_lr{learning_rate}"


def write_results(
    folder: Path | str,
    tag: str,
    repeats: Sequence[Predictions],
    names: Sequence[str],
    *,
    average: str = "macro",
    losses: Sequence[tuple[int, float, float]] = (),
    machine: str = "local",
) -> list[Path]:
    """The four files of a method's repeats; their paths.

    ``average`` runs over all ``names`` (macro: of those that truth or prediction has, as scikit-learn does). ``losses``: (epoch,
    mean training loss, accuracy on the rows that choose the epoch). Raises UsageError for an unknown average or no repeat.
    """
    from sklearn.metrics import classification_report, precision_recall_fscore_support

    if average not in AVERAGES:
        raise UsageError(expected("average", "a known one", average, available=AVERAGES))
    if not repeats:
        raise UsageError("Expected repeats to hold one or more, found none.")
    stem, paths = f"{tag}result_{machine}_{average}", []
    lines: dict[str, list[str]] = {"res": [], "pred": [], "loss_acc": [], "det": []}
    for truth, predicted in repeats:
        scores = precision_recall_fscore_support(truth, predicted, average=average, zero_division=0)[:3]
        lines["res"].append(" ".join(str(float(score)) for score in scores))
        for letter, row in (("Y", truth), ("P", predicted)):
            lines["pred"].append(f"{letter} " + " ".join(map(str, np.asarray(row).tolist())))
        which = {"labels": np.arange(len(names)), "target_names": names}
        lines["det"].append(classification_report(truth, predicted, **which, digits=4, zero_division=0))
    lines["loss_acc"] = [f"{epoch} {loss} {accuracy}" for epoch, loss, accuracy in losses]
    for ending, content in lines.items():
        if content:
            paths.append(Path(folder) / f"{stem}.{ending}")
            with atomic_writer(paths[-1]) as stream:
                stream.write("\n".join(content) + "\n")
    return paths


def read_res(path: Path | str) -> np.ndarray:
    """Precision, recall and F of each repeat, (repeats, 3). The header that the earlier statistics command adds is passed over.

    Raises DataError with the line of what is not three numbers from 0 to 1.
    """
    rows = []
    for number, line in read_lines(path):
        fields = line.split()
        if not fields or fields[:3] == list(COLUMNS):
            continue
        try:
            values = [float(field) for field in fields]
        except ValueError:
            values = []
        if len(values) != 3 or not all(0 <= value <= 1 for value in values):
            message = expected("a line of a .res file", "three numbers from 0 to 1: precision recall fscore", line)
            raise DataError(message, path=path, line=number)
        rows.append(values)
    if not rows:
        raise DataError("No repeat in this file. Run the experiment again.", path=path)
    return np.array(rows)


def read_pred(path: Path | str) -> list[Predictions]:
    """The repeats of a .pred file. Raises DataError with the line where Y and P do not take turns or differ in length."""
    found: list[Predictions] = []
    truth: np.ndarray | None = None
    for number, line in read_lines(path):
        letter, _, rest = line.partition(" ")
        try:
            row = np.array([int(field) for field in rest.split()])
        except ValueError:
            raise DataError(expected("class numbers", "whole numbers", rest[:80]), path=path, line=number) from None
        if letter != ("Y" if truth is None else "P"):
            message = expected("the line", f"begun by {'Y' if truth is None else 'P'}", letter)
            raise DataError(message, path=path, line=number)
        if truth is None:
            truth = row
        elif len(row) != len(truth):
            raise DataError(f"{len(row)} predictions of {len(truth)} examples.", path=path, line=number)
        else:
            found.append(Predictions(truth, row))
            truth = None
    if truth is not None:
        raise DataError("The last repeat has no predictions.", path=path, line=number)
    return found
