"""Score tables on disk: parts while the work goes on, whole files when it is done."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bioutils.errors import BioutilsError, UsageError, expected
from bioutils.files import atomic_path, check_unharmed, read_json, write_json
from bioutils.plots.style import ASPECT_COLOURS

if TYPE_CHECKING:
    import pandas as pd

FORMATS = (".parquet", ".csv", ".xlsx", ".jsonl")
WIDE = ("sentence", "title")  # columns of running text
XLSX_ROWS = 1_048_575  # a sheet's limit, less the header


def parts_folder(out: Path) -> Path:
    """Where the parts of an unfinished job lie."""
    return out.with_name(f".{out.name}.parts")


def sentences_path(out: Path) -> Path:
    """The path of the sentence table beside ``out``.

    >>> sentences_path(Path("a/scores.parquet")).name
    'scores.sentences.parquet'
    """
    return out.with_name(f"{out.stem}.sentences{out.suffix}")


def check_output(inputs: Sequence[Path], out: Path, *, overwrite: bool, resume: bool) -> Path:
    """The sentence table's path, after making sure that nothing is overwritten unasked. Raises UsageError."""
    beside = sentences_path(out)
    if out.suffix.lower() not in FORMATS:
        raise UsageError(expected("--out", "a file of a known format", out.name, available=FORMATS))
    if overwrite and resume:
        raise UsageError("Expected one of --overwrite and --resume, found both. They contradict each other.")
    check_unharmed([out, beside], inputs, overwrite=overwrite)
    if parts_folder(out).exists() and not overwrite and not resume:
        raise UsageError(
            f"An unfinished job for {out} was found. Continue it with --resume or start anew with --overwrite."
        )
    return beside


class Parts:
    """The parts of one job: a pair of parquet files a chunk. They stay when the job is interrupted, for ``resume``."""

    def __init__(self, out: Path, job: dict[str, Any], *, resume: bool):
        self.folder = parts_folder(out)
        known = self.folder / "job.json"
        job = json.loads(json.dumps(job))  # tuples and the like as they come back from the file
        if resume and known.is_file():
            if (before := read_json(known)) != job:
                changed = [key for key in job if before.get(key) != job[key]]
                raise UsageError(
                    f"The unfinished job for {out} had other {' and '.join(changed)}. "
                    "Call as then, or start anew with --overwrite."
                )
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
            write_json(known, job)
        self.numbers: list[int] = []

    def __enter__(self) -> "Parts":
        return self

    def __exit__(self, *exception) -> None:
        """Parts of a job that failed stay, and its message says how to go on; an empty folder does not."""
        if self.folder.exists() and not any(self.folder.glob("*.parquet")):
            shutil.rmtree(self.folder, ignore_errors=True)

    def _paths(self, number: int) -> tuple[Path, Path]:
        return self.folder / f"{number:06d}.abstracts.parquet", self.folder / f"{number:06d}.sentences.parquet"

    def done(self, number: int) -> bool:
        """True when this chunk was scored before."""
        self.numbers.append(number)
        return all(path.exists() for path in self._paths(number))

    def add(self, number: int, abstracts: "pd.DataFrame", sentences: "pd.DataFrame") -> None:
        """Writes a chunk's two tables, each whole."""
        for table, path in zip((abstracts, sentences), self._paths(number), strict=True):
            with atomic_path(path) as temporary:
                table.to_parquet(temporary, index=False)

    def finish(self, out: Path, beside: Path) -> int:
        """Joins the parts into the two result files, removes them, and returns the number of sentences."""
        rows = []
        for path, kind in ((beside, 1), (out, 0)):  # ``out`` last: where it is, all is
            parts = [self._paths(number)[kind] for number in self.numbers]
            with atomic_path(path) as temporary:
                rows.append(_join(parts, temporary))
        shutil.rmtree(self.folder)
        return rows[0]


def _join(parts: list[Path], path: Path) -> int:
    """Writes the parts' rows to ``path`` in the format of its suffix, one part in memory at a time; returns their number."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    total = sum(pq.read_metadata(part).num_rows for part in parts)
    tables: Iterator[pd.DataFrame] = (pd.read_parquet(part) for part in parts)
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        # One schema for all: a part in which every abstract lacks its text would else have columns of nulls.
        schema = pa.unify_schemas([pq.read_schema(part) for part in parts], promote_options="permissive")
        with pq.ParquetWriter(path, schema.remove_metadata()) as writer:
            for part in parts:
                writer.write_table(pq.read_table(part).cast(schema.remove_metadata()))
    elif suffix == ".csv":
        for i, table in enumerate(tables):
            table.to_csv(path, mode="a" if i else "w", header=not i, index=False, lineterminator="\n")
    elif suffix == ".jsonl":
        with path.open("w", encoding="utf-8") as stream:
            for table in tables:
                stream.write(table.to_json(orient="records", lines=True, force_ascii=False))
    else:
        if total > XLSX_ROWS:
            raise BioutilsError(f"{total:,} rows do not fit in one sheet ({XLSX_ROWS:,}). Choose .parquet or .csv.")
        write_xlsx(pd.concat(tables), path)
    return total


def write_table(table: "pd.DataFrame", path: Path) -> None:
    """Writes one table, whole, in the format of the path's suffix (.parquet, .csv, .jsonl or .xlsx)."""
    with atomic_path(path) as temporary:
        if path.suffix == ".xlsx":
            write_xlsx(table, temporary)
        elif path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        elif path.suffix == ".csv":
            table.to_csv(temporary, index=False, lineterminator="\n")
        else:
            table.to_json(temporary, orient="records", lines=True, force_ascii=False)


def write_xlsx(table: "pd.DataFrame", path: Path) -> None:
    """Writes a workbook of one sheet, made to be read: bold header with filters, wrapped text, probabilities as percentages
    with bars in their aspect's colour, the main aspect on its colour. Text is text: ``=…`` does not become a formula.
    """
    import pandas as pd

    options = {"strings_to_formulas": False, "strings_to_urls": False}
    with pd.ExcelWriter(path, engine="xlsxwriter", engine_kwargs={"options": options}) as writer:
        table.to_excel(writer, index=False, sheet_name="scores", freeze_panes=(1, 1), header=False, startrow=1)
        sheet, book = writer.sheets["scores"], writer.book
        top = {"valign": "top"}
        plain, wrapped = book.add_format(top), book.add_format(top | {"text_wrap": True})
        percent = book.add_format(top | {"num_format": "0.0%"})
        head = book.add_format({"bold": True, "text_wrap": True, "valign": "top", "bottom": 1})
        for column, name in enumerate(table.columns):
            probability = table[name].dtype.kind == "f"
            width = 80 if name in WIDE else 14 if probability else max(10, len(name), 22 if name == "aspect" else 0)
            sheet.set_column(column, column, width, percent if probability else wrapped if name in WIDE else plain)
            sheet.write_string(0, column, name, head)
            if probability and len(table):
                bar = {
                    "type": "data_bar",
                    "bar_solid": True,
                    "min_type": "num",
                    "max_type": "num",
                    "min_value": 0,
                    "max_value": 1,
                }
                colour = ASPECT_COLOURS.get(name, "#BBBBBB")
                sheet.conditional_format(1, column, len(table), column, bar | {"bar_color": _pale(colour)})
            if name == "aspect" and len(table):
                for aspect, colour in ASPECT_COLOURS.items():
                    rule = {"type": "cell", "criteria": "==", "value": f'"{aspect}"'}
                    fill = book.add_format({"bg_color": _pale(colour)})
                    sheet.conditional_format(1, column, len(table), column, rule | {"format": fill})
        if len(table):
            sheet.autofilter(0, 0, len(table), len(table.columns) - 1)


def _pale(colour: str) -> str:
    """A colour halfway to white, so that black text on it stays legible.

    >>> _pale("#0072B2")
    '#7FB8D8'
    """
    return "#" + "".join(f"{(int(colour[i : i + 2], 16) + 255) // 2:02X}" for i in (1, 3, 5))
