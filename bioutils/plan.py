"""What a suite run will do: notebooks × grid points, each with its parameters, what it needs and what it makes."""

import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bioutils.errors import DataError, UsageError, expected
from bioutils.files import read_json
from bioutils.parameters import (
    SET_BY_SUITE,
    Parameter,
    check_names,
    check_value,
    parse_value,
    read_mapping,
    read_parameters,
)
from bioutils.runs import check_parameters


@dataclass(frozen=True)
class Job:
    """One notebook at one grid point. ``needs`` and ``makes`` are files under the run folder."""

    notebook: Path
    point: str  # "seed=0", or "" without a grid
    parameters: dict[str, Any]
    takes_run_dir: bool
    needs: tuple[str, ...]
    makes: tuple[str, ...]
    light: bool

    @property
    def folder(self) -> str:
        """The job's folder under the run folder; also what the job is called."""
        return _under(self.point, self.notebook.stem)

    def text(self) -> str:
        """The parameters as papermill's ``-f`` reads them. It changes when the job must run again, and only then."""
        return f"# for {self.notebook.stem}, cells {_fingerprint(self.notebook)}\n" + yaml.safe_dump(
            self.parameters, allow_unicode=True
        )


def make_plan(
    chosen: Sequence[str],
    *,
    notebooks_dir: Path,
    out: Path,
    profile: str,
    overrides: Mapping[str, str],
    grid: Mapping[str, Sequence[str]],
) -> list[Job]:
    """The jobs of a run: the chosen notebooks (all where none is) and those whose files they need and ``out`` lacks.

    A value comes from the grid, else from ``overrides``, else from the profile. Raises UsageError for an unknown
    notebook, profile or parameter and for a value that does not fit, DataError for a file that is damaged.
    """
    table = _read_table(notebooks_dir)
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    folders = _point_folders(points)
    base = _read_profile(profile, notebooks_dir)
    needs = {
        stem: [
            file
            for file, instead in files.items()
            if not (overrides.get(instead) or base.get(instead) or instead in grid)
        ]
        for stem, files in table["needs"].items()
    }
    notebooks = _with_needed(find_notebooks(chosen, notebooks_dir), needs, notebooks_dir, out, folders)
    known = {notebook: read_parameters(notebook) for notebook in notebooks}
    _check_profile(base, profile, notebooks_dir, known)
    names = {name for parameters in known.values() for name in parameters}
    check_names(overrides, names, where="-p")
    check_names(grid, names, where="--grid")
    if both := [name for name in grid if name in overrides]:
        raise UsageError(f"Expected {both[0]} to be given once, found it in -p and in --grid.")
    needed_files = {file for files in needs.values() for file in files}
    jobs = []
    for (point, folder), notebook in itertools.product(zip(points, folders, strict=True), notebooks):
        parameters = known[notebook]
        values = {
            name: check_value(base[name], parameters[name], where="profile") for name in base if name in parameters
        }
        for where, given in (("-p", overrides), ("--grid", point)):
            for name in given:
                if name in parameters:
                    values[name] = parse_value(given[name], parameters[name], where=where)
        check_parameters(values)  # the ranges of what all notebooks share
        jobs.append(
            Job(
                notebook=notebook,
                point=folder,
                parameters=values,
                takes_run_dir=SET_BY_SUITE in parameters,
                needs=tuple(_under(folder, file) for file in needs.get(notebook.stem, [])),
                makes=tuple(_under(folder, file) for file in sorted(needed_files) if _producer(file) == notebook.stem),
                light=notebook.stem in table["light"],
            )
        )
    return jobs


def find_notebooks(chosen: Sequence[str], notebooks_dir: Path) -> list[Path]:
    """The notebooks that numbers (3, 03), names or paths stand for, sorted; all of the folder where none is given."""
    there = {path.stem: path.resolve() for path in sorted(notebooks_dir.glob("[0-9][0-9]_*.ipynb"))}
    if not there and not chosen:
        raise UsageError(expected("the notebook folder", "one with notebooks named NN_name.ipynb", str(notebooks_dir)))
    found: dict[str, Path] = {} if chosen else there
    for given in chosen:
        path = Path(given)
        if path.suffix == ".ipynb" and path.is_file():
            stem, path = path.stem, path.resolve()
        else:
            name = path.name.removesuffix(".ipynb")
            number = f"{int(name):02d}" if name.isascii() and name.isdigit() else name
            stems = [stem for stem in there if number in (stem, stem[:2], stem[3:])]
            if len(stems) != 1:
                raise UsageError(expected("NOTEBOOK", "a number, a name or a path", given, available=stems or there))
            stem, path = stems[0], there[stems[0]]
        if found.setdefault(stem, path) != path:
            raise UsageError(f"Expected notebooks of different names, found {found[stem]} and {path}.")
    return [found[stem] for stem in sorted(found)]


def _with_needed(
    notebooks: list[Path], needs: dict[str, list[str]], notebooks_dir: Path, out: Path, folders: list[str]
) -> list[Path]:
    """The notebooks and, until nothing is missing, those that make a file they need."""
    chosen = {notebook.stem: notebook for notebook in notebooks}
    waiting = list(chosen)
    while waiting:
        for file in needs.get(waiting.pop(), []):
            producer = _producer(file)
            if producer not in chosen and not all(_is_made(out / folder, file) for folder in folders):
                chosen[producer] = find_notebooks([producer], notebooks_dir)[0]
                waiting.append(producer)
    return [chosen[stem] for stem in sorted(chosen)]


def _is_made(folder: Path, file: str) -> bool:
    """Whether the file is there and the notebook that makes it did not fail after writing it."""
    status = folder / _producer(file) / "status.json"
    return (folder / file).exists() and (not status.exists() or read_json(status)["state"] == "ok")


def _read_profile(profile: str, notebooks_dir: Path) -> dict[str, Any]:
    path = (
        Path(profile) if Path(profile).suffix in (".yaml", ".yml") else notebooks_dir / "profiles" / f"{profile}.yaml"
    )
    if not path.is_file():
        available = sorted(p.stem for p in (notebooks_dir / "profiles").glob("*.yaml"))
        raise UsageError(expected("--profile", "a name or a YAML file", profile, available=available))
    return read_mapping(path)


def _check_profile(
    values: dict[str, Any], profile: str, notebooks_dir: Path, known: dict[Path, dict[str, Parameter]]
) -> None:
    """A profile serves the whole folder, so its names may be those of notebooks not chosen."""
    names = {name for parameters in known.values() for name in parameters}
    if not set(values) <= names:
        others = {path.resolve() for path in notebooks_dir.glob("[0-9][0-9]_*.ipynb")} - set(known)
        names |= {name for other in others for name in read_parameters(other)}
    check_names(values, names, where=f"profile {profile}")


def _read_table(notebooks_dir: Path) -> dict[str, Any]:
    """``suite.yaml``: which files a notebook needs from another, and which notebooks are light on the processor."""
    path = notebooks_dir / "suite.yaml"
    table: dict[str, Any] = {"needs": {}, "light": []}
    if path.exists():
        table |= read_mapping(path)
        if set(table) != {"needs", "light"} or not all(isinstance(files, dict) for files in table["needs"].values()):
            form = "needs: {notebook: {file: parameter or nothing}} and light: [notebook]"
            raise DataError(expected("suite.yaml", form, table), path=path)
    return table


def _point_folders(points: list[dict[str, str]]) -> list[str]:
    """A folder name for each grid point: ``encoder=minilm,seed=0``, and a few digits more where characters were lost."""
    folders = []
    for point in points:
        exact = ",".join(f"{name}={value}" for name, value in point.items())
        name = re.sub(r"[^\w.,=+-]", "-", exact, flags=re.ASCII)[:100]
        folders.append(name if name == exact else f"{name}-{hashlib.sha256(exact.encode()).hexdigest()[:6]}")
    if len(set(folders)) < len(folders):
        raise UsageError("Expected the values of --grid to differ, found one twice.")
    return folders


def _producer(file: str) -> str:
    return file.split("/", 1)[0]


def _under(point: str, path: str) -> str:
    return f"{point}/{path}" if point else path


def _fingerprint(notebook: Path) -> str:
    """A hash of the cells' types, sources and tags: saving a notebook with its output does not change it."""
    import nbformat

    cells = nbformat.read(notebook, as_version=4).cells
    content = [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in cells]
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]
