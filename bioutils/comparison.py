"""Groups of repeated runs, read from result files or from run folders, summarised and tested against each other."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bioutils.errors import UsageError, expected
from bioutils.evaluation.statistics import (
    PairedTest,
    approximate_randomisation,
    difference_of_means,
    majority,
    mcnemar,
    summary_table,
)
from bioutils.files import read_json
from bioutils.result_files import COLUMNS, Predictions, read_pred, read_res

if TYPE_CHECKING:
    import pandas as pd

METRICS = ("accuracy", "macro_f1")
NOTEBOOK = re.compile(r"\d\d_[a-z_]+")


@dataclass(frozen=True)
class Group:
    """A method's repeats: ``scores`` (repeats, columns) and, where it left them, its predictions."""

    name: str
    columns: tuple[str, ...]
    scores: np.ndarray
    predictions: tuple[Predictions, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Two groups: the difference of each column's means, and paired tests where their predictions align (else the reason)."""

    means: dict[str, dict[str, float]]
    tests: tuple[PairedTest, ...] = ()
    mcnemar: dict[str, float] | None = None
    not_paired: str = ""


def read_groups(folders: Sequence[Path | str]) -> list[Group]:
    """A group for each .res file under the folders, else for each notebook whose runs with scores lie there.

    A method is never mixed with another: two .res files are two groups. Raises UsageError where there is nothing to read,
    DataError for a file that is broken.
    """
    found: list[Group] = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise UsageError(expected("DIR", "a folder", str(folder)))
        files = sorted(folder.rglob("*.res"))
        here = [_from_res(path) for path in files] or read_runs(folder)
        if not here:
            raise UsageError(expected(str(folder), "a folder with .res files or finished runs", "neither"))
        found += here
    names = [group.name for group in found]
    if len(set(names)) < len(names):  # the same tag in two folders: say which
        where = [path for folder in map(Path, folders) for path in sorted(folder.rglob("*.res"))]
        if len(where) == len(found):
            found = [
                Group(f"{path.parent.name}/{g.name}", g.columns, g.scores, g.predictions)
                for path, g in zip(where, found, strict=True)
            ]
    return found


def _from_res(path: Path) -> Group:
    predictions = path.with_suffix(".pred")
    known = tuple(read_pred(predictions)) if predictions.is_file() else ()
    return Group(re.sub(r"result_[^_]*_(micro|macro)$", r" (\1)", path.stem), COLUMNS, read_res(path), known)


def read_runs(folder: Path | str) -> list[Group]:
    """A group for each notebook among the finished runs under a folder: accuracy and macro-F1 of their ``metrics.json``."""
    runs = defaultdict(list)
    for path in sorted(Path(folder).rglob("metrics.json")):
        metrics = read_json(path)
        if all(name in metrics for name in METRICS):
            match = NOTEBOOK.match(path.parent.name)
            runs[match[0] if match else path.parent.name].append([metrics[name] for name in METRICS])
    return [Group(name, METRICS, np.array(scores)) for name, scores in runs.items()]


def table(groups: Sequence[Group]) -> "pd.DataFrame":
    """One row a group and score: n, min, max, mean, std and the 95 % interval of the mean. Raises UsageError for no groups."""
    import pandas as pd

    if not groups:
        raise UsageError(expected("groups", "one or more", "none", remedy="Run a notebook into this folder first."))
    return pd.concat([summary_table({g.name: g.scores}, g.columns) for g in groups], ignore_index=True)


def compare(first: Group, second: Group, *, n_random: int = 10_000, seed: int = 0) -> Comparison:
    """The two groups' difference: of means with effect sizes, and paired on each example's most frequent answer."""
    shared = [name for name in first.columns if name in second.columns]
    means = {
        name: difference_of_means(
            first.scores[:, first.columns.index(name)], second.scores[:, second.columns.index(name)]
        )
        for name in shared
    }
    if reason := _why_not_paired(first, second):
        return Comparison(means, not_paired=reason)
    truth = first.predictions[0].truth
    one, other = (majority([p.predicted for p in g.predictions]) for g in (first, second))
    tests = tuple(
        approximate_randomisation(truth, one, other, metric=metric, n_random=n_random, seed=seed) for metric in METRICS
    )
    return Comparison(means, tests, mcnemar(truth, one, other))


def _why_not_paired(first: Group, second: Group) -> str:
    for group in (first, second):
        if not group.predictions:
            return f"{group.name} left no .pred file"
    truth = first.predictions[0].truth
    for p in (*first.predictions, *second.predictions):
        if not np.array_equal(p.truth, truth):
            return "their .pred files are not about the same examples in the same order"
    return ""


def describe(comparison: Comparison, first: str, second: str) -> str:
    """The comparison in lines of text."""
    lines = [f"{first} against {second}"]
    for name, found in comparison.means.items():
        spread = "(one repeat tells no interval)"
        if np.isfinite(found["low"]):
            spread = f"(95 % interval {found['low']:+.4f} to {found['high']:+.4f}), Cohen's d {found['cohen_d']:+.2f}"
        lines.append(
            f"  mean {name}: difference {found['difference']:+.4f} {spread}, Cliff's delta {found['cliff_delta']:+.2f}"
        )
    for test in comparison.tests:
        lines.append(
            f"  {test.metric} of each example's most frequent answer: {test.first:.4f} and {test.second:.4f}, difference "
            f"{test.difference:+.4f}; approximate randomisation p = {test.p_value:.4f} ({test.n_random:,} exchanges; "
            f"{test.n_differ:,} of {test.n_examples:,} answers differ)"
        )
    if comparison.mcnemar:
        m: dict[str, Any] = comparison.mcnemar
        lines.append(
            f"  McNemar: {m['only_first']} right by the first alone, {m['only_second']} by the second alone, "
            f"p = {m['p_value']:.4f}, odds ratio {m['odds_ratio']:.2f}"
        )
    if comparison.not_paired:
        lines.append(f"  No paired test: {comparison.not_paired}.")
    return "\n".join(lines)
