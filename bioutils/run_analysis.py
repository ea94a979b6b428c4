"""Runs of several heads compared: by what they were set to, epoch by epoch, head by head, label by label."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bioutils import plots
from bioutils.errors import UsageError, expected
from bioutils.files import atomic_path, atomic_writer
from bioutils.run_records import HISTORY, LABELS, record_table
from bioutils.training.multihead_folds import mean_course

if TYPE_CHECKING:
    import pandas as pd

COMBINED = {
    "mean": lambda table: table.mean(axis=1),
    "geometric": lambda table: np.exp(np.log(table.clip(lower=1e-12)).mean(axis=1)),
    "sum": lambda table: table.sum(axis=1),
}
SCORES = "precision", "recall", "f1", "accuracy"
METRICS = (*SCORES, "loss")


def own_tables(
    records: Sequence[Mapping[str, Any]], file: str = HISTORY
) -> "list[tuple[Mapping[str, Any], pd.DataFrame]]":
    """The runs of several heads among the records, each with the table that it left in its folder.

    A run whose folder a later run has taken, and one that left no such table, is not among them.
    """
    import pandas as pd

    last = {record["folder"]: number for number, record in enumerate(records)}
    found = []
    for number, record in enumerate(records):
        path = Path(record["folder"]) / file
        if last[record["folder"]] == number and path.is_file():
            table = pd.read_csv(path)
            found += [(record, table)] if {"fold", "part", "head"} <= set(table) else []
    return found


def by_run(tables: "Sequence[tuple[Mapping[str, Any], pd.DataFrame]]") -> "dict[str, pd.DataFrame]":
    """The tables by the name of their run; two of a name are told apart by their folder."""
    names = [record["name"] for record, _ in tables]
    return {r["name"] if names.count(r["name"]) == 1 else r["folder"]: table for r, table in tables}


def combined(history: "pd.DataFrame", column: str, *, heads: Sequence[str] = (), how: str = "mean") -> "pd.DataFrame":
    """A column of all heads (or of ``heads``) as one number a fold, part and epoch.

    Raises UsageError for an unknown head or way.
    """
    if how not in COMBINED:
        raise UsageError(expected("combine", "a known way", how, available=COMBINED))
    known = list(history["head"].unique())
    if unknown := [head for head in heads if head not in known]:
        raise UsageError(expected("head", "one of the run's", unknown[0], available=known))
    table = history.pivot(index=["fold", "part", "epoch"], columns="head", values=column)
    return COMBINED[how](table[list(heads) or known]).rename(column).reset_index()


def epoch_table(
    history: "pd.DataFrame", *, metric: str = "f1", heads: Sequence[str] = (), how: str = "mean"
) -> "pd.DataFrame":
    """A row a head, and one for all: the epoch that is best on the validation abstracts (mean over folds), the metric there on
    validation and test abstracts, and at the last epoch that every fold reached.

    A loss is best where it is least. Epochs that some fold did not reach are not looked at. Of a head that no validation abstract
    asks, none is better than another: the last is shown.
    """
    import pandas as pd

    chosen = list(heads) or list(history["head"].unique())
    rows = history[history["head"].isin(chosen)]
    if len(chosen) > 1:
        together = combined(history, metric, heads=chosen, how=how).assign(head=f"all ({how})")
        rows, chosen = pd.concat([rows, together]), [*chosen, f"all ({how})"]
    mean = {part: mean_course(rows, part, metric) for part in rows["part"].unique()}
    table = []
    for head in chosen:
        guide = mean["validation"][head]
        best = guide.index[-1]
        if guide.notna().any():
            best = guide.idxmin() if "loss" in metric else guide.idxmax()
        row = {"head": head, "best epoch": best, "validation": guide[best]}
        row |= {"test": mean["test"][head][best]} if "test" in mean else {}
        table.append(row | {"last epoch": guide.index[-1], "validation at last": guide.iloc[-1]})
    return pd.DataFrame(table)


def label_means(labels: "pd.DataFrame") -> "pd.DataFrame":
    """A row a head and label: mean precision, recall and F1 over the folds, F1's range, and the words (or pairs) of all folds."""
    groups = labels.groupby(["head", "label"], sort=False)
    found = groups[["precision", "recall", "f1"]].mean()
    found["f1_low"], found["f1_high"], found["support"] = (
        groups["f1"].min(),
        groups["f1"].max(),
        groups["support"].sum(),
    )
    return found.reset_index()


def head_scores(history: "pd.DataFrame", part: str, epoch: int) -> "pd.DataFrame":
    """A row a head and one for their mean: precision, recall, F1 and accuracy, means over the folds, at an epoch."""
    there = history[(history["part"] == part) & (history["epoch"] == epoch)]
    found = there.groupby("head", sort=False)[list(SCORES)].mean()
    found.loc["mean"] = found.mean()
    return found


def course_figure(
    histories: "Mapping[str, pd.DataFrame]", column: str, *, part: str, heads: Sequence[str] = (), how: str = "mean"
) -> np.ndarray:
    """A panel a head, and one for all: a curve a run over epochs, the range of its folds as a band; runs without one of ``heads``
    have none."""
    names = list(heads) or list(dict.fromkeys(head for h in histories.values() for head in h["head"].unique()))
    of_part = {name: h[h["part"] == part] for name, h in histories.items() if _own(h, names)}
    panels = [
        (head, {n: h[h["head"] == head] for n, h in of_part.items() if (h["head"] == head).any()}) for head in names
    ]
    if len(names) > 1:
        together = {n: combined(h, column, heads=_own(h, names), how=how) for n, h in of_part.items()}
        panels.append((f"all ({how})", together))
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    axes = plots.new_axes(5.2 * columns, 3.4 * rows, columns=columns, rows=rows)
    for ax, (title, curves) in zip(axes, panels, strict=False):
        plots.run_curves(curves, column, title=plots.readable(title), ax=ax)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    return axes


def analyse(
    records: Sequence[Mapping[str, Any]], out: Path | str, *, by: Sequence[str] = (), heads: Sequence[str] = (),
    metric: str = "f1", combine: str = "mean",
) -> Path:  # fmt: skip
    """Writes ``report.md`` with its figures, and the tables as CSV and LaTeX, into a folder; returns the report's path.

    Raises UsageError where there is no run, where none has left its course over epochs, and for an unknown metric, head or way.
    """
    out = Path(out)
    if metric not in METRICS:
        raise UsageError(expected("metric", "a known one", metric, available=METRICS))
    if not records:
        raise UsageError("There is no run to analyse.")
    known = own_tables(records)
    if not known:
        raise UsageError(
            f"None of the {len(records)} runs has left the {HISTORY} of several heads: train with training.folds."
        )
    there = sorted({head for _, history in known for head in history["head"]})
    if unknown := [head for head in heads if head not in there]:
        raise UsageError(expected("head", "one of the runs'", unknown[0], available=there))
    more = [(len(records) - len(known), "have no course of several heads, or a later run took their folder")]
    if heads:
        without = len(known)
        known = [(record, history) for record, history in known if _own(history, heads)]
        more.append((without - len(known), f"have no head {' or '.join(heads)}"))
    histories, labels = by_run(known), by_run(own_tables(records, LABELS))
    runs = record_table([record for record, _ in known], by=by)
    parts = ["# Runs\n", _markdown(runs), *(f"{n} more on record {what}.\n" for n, what in more if n)]
    tables = {"runs": runs}
    for column in dict.fromkeys((metric, "loss")):
        axes = course_figure(histories, column, part="validation", heads=heads, how=combine)
        with atomic_path(out / f"{column}.png") as path:
            axes[0].figure.savefig(path, dpi=150, bbox_inches="tight", format="png")
        parts.append(f"![{column} on the validation abstracts, band: range of the folds]({column}.png)\n")
    for name, history in histories.items():
        epochs = epoch_table(history, metric=metric, heads=_own(history, heads), how=combine)
        best = int(epochs["best epoch"].iloc[-1])
        parts += [f"## {name}\n", _markdown(epochs)]
        for part in [p for p in ("validation", "test") if (history["part"] == p).any()]:
            scores = head_scores(history, part, best).reset_index()
            parts += [f"At epoch {best}, {part} abstracts:\n", _markdown(scores)]
            tables[f"{_plain(name)}-{part}"] = scores
        if name in labels:
            by_label = label_means(labels[name])
            parts += ["By label, test abstracts, each fold at its own chosen epoch:\n", _markdown(by_label)]
            tables[f"{_plain(name)}-labels"] = by_label
        tables[f"{_plain(name)}-epochs"] = epochs
    for name, table in tables.items():
        with atomic_path(out / f"{name}.csv") as path:
            table.to_csv(path, index=False)
        with atomic_path(out / f"{name}.tex") as path:
            table.to_latex(path, index=False, float_format="%.4f", escape=True)
    with atomic_writer(out / "report.md") as stream:
        stream.write("\n".join(parts))
    return out / "report.md"


def _own(history: "pd.DataFrame", heads: Sequence[str]) -> list[str]:
    return [head for head in heads if (history["head"] == head).any()]


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name)


def _markdown(table: "pd.DataFrame") -> str:
    def cell(value: Any) -> str:
        text = f"{value:.4f}" if isinstance(value, float) else str(value)
        return text.replace("|", "\\|").replace("\n", " ")

    lines = ["| " + " | ".join(map(str, table.columns)) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(map(cell, row)) + " |" for row in table.itertuples(index=False)]
    return "\n".join(lines) + "\n"
