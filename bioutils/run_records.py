"""The record of all runs: a line of JSON a run, added to and never rewritten, so that no run is written over another's."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bioutils.errors import DataError, UsageError, expected
from bioutils.files import read_lines

if TYPE_CHECKING:
    import pandas as pd

RECORDS = "runs.jsonl"
HISTORY, LABELS = "history.csv", "labels.csv"  # what a run of several heads leaves in its folder
KEYS = "finished", "name", "folder", "parameters", "scores"


def add_record(
    path: Path, *, name: str, folder: Path | str, parameters: Mapping[str, Any], scores: Mapping[str, Any], **facts: Any
) -> None:
    """Adds a run's line: what it was set to, what came out, where its files lie, and when it was finished.

    The folder is noted from that of the record where it lies within, so that the two may be moved together; else in full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder, here = Path(folder).resolve(), path.parent.resolve()
    place = (folder.relative_to(here) if folder.is_relative_to(here) else folder).as_posix()
    line = {"finished": time.strftime("%Y-%m-%dT%H:%M:%S"), "name": name, "folder": place}
    line |= {"parameters": dict(parameters), "scores": dict(scores), **facts}
    with path.open("a", encoding="utf-8") as stream:  # one write a line: processes side by side do not mix theirs
        stream.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")


def read_records(path: Path | str, *, names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The runs in a record, oldest first, their folders in full; ``names``: those of these names or folders alone.

    Raises UsageError for no record and for a name that is not in it, DataError with the line for what is no record of a run.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(expected("records", "a file that runs have written", str(path)))
    found = []
    for number, line in read_lines(path):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"Not JSON: {error.msg}. Remove the line.", path=path, line=number) from None
        if not isinstance(record, dict) or any(key not in record for key in KEYS):
            raise DataError(f"Not the record of a run, which has {', '.join(KEYS)}.", path=path, line=number)
        found.append(record | {"folder": _whole(record["folder"], path.parent)})
    chosen = [[r for r in found if name == r["name"] or str(Path(name).resolve()) == r["folder"]] for name in names]
    for name, runs in zip(names, chosen, strict=True):
        if not runs:
            raise UsageError(expected("run", "one in the record", name, available=sorted({r["name"] for r in found})))
    return [r for r in found if not names or any(r in runs for runs in chosen)]


def _whole(folder: str, here: Path) -> str:
    """A noted folder in full; of lines that noted it as it was given, the one seen from where the command stands."""
    there = (here / folder).resolve()
    return str(there if there.exists() or not Path(folder).exists() else Path(folder).resolve())


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, the keys joined by dots; a list as text.

    >>> flat({"model": {"frozen": True, "layers": [1, 2]}})
    {'model.frozen': True, 'model.layers': '[1, 2]'}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = str(value) if isinstance(value, list | tuple) else value
    return found


def record_table(records: Sequence[Mapping[str, Any]], *, by: Sequence[str] = ()) -> "pd.DataFrame":
    """A row a run: its name, the parameters ``by`` (those in which the runs differ, when empty), and its scores.

    A name in ``by`` is that of a parameter or its last parts: ``balance`` and ``training.balance`` find both the
    ``training.balance`` of a run from a file and the ``balance`` of a notebook's; where several of a run's parameters answer,
    none does. Raises UsageError for a parameter that no run has.
    """
    import pandas as pd

    parameters = [flat(record["parameters"]) for record in records]
    names = list(dict.fromkeys(name for found in parameters for name in found))
    of = {name: [_parameter(found, name) for found in parameters] for name in by}
    if unknown := [name for name in by if not any(of[name])]:
        raise UsageError(expected("parameter", "one that the runs were given", unknown[0], available=names))
    shown = list(by) or [n for n in names if len({repr(found.get(n)) for found in parameters}) > 1 and n != "out"]
    rows = [
        {"run": record["name"], "finished": record["finished"]}
        | {n: found.get(of[n][i] if n in of else n) for n in shown}
        | flat(record["scores"])
        for i, (record, found) in enumerate(zip(records, parameters, strict=True))
    ]
    return pd.DataFrame(rows)


def _parameter(found: Mapping[str, Any], name: str) -> str:
    """What a run calls a parameter: by the name itself, else by the last parts of one or the other; "" where there is none."""
    if name in found:
        return name
    alike = [other for other in found if other.endswith(f".{name}") or name.endswith(f".{other}")]
    return alike[0] if len(alike) == 1 else ""
