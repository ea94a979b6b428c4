"""The parameters of notebooks: read from the cell tagged ``parameters``, and checked before anything runs.

papermill only warns about an unknown name and never looks at a type; both would show up an hour later, if at all.
"""

import ast
import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bioutils.errors import DataError, UsageError, expected
from bioutils.files import reading

KINDS = {"int": int, "float": float, "bool": bool, "str": str}
SET_BY_SUITE = "run_dir"


@dataclass(frozen=True)
class Parameter:
    """One line of the parameters cell. ``kind`` is None where the default (None, an expression) says nothing."""

    name: str
    default: str
    kind: type | None
    help: str


def read_parameters(notebook: Path) -> dict[str, Parameter]:
    """The parameters of a notebook, name → Parameter, in the order of the cell.

    Raises DataError where the file is no notebook, names no kernel, or has no cell tagged ``parameters``.
    """
    from papermill import inspect_notebook

    try:
        with reading(notebook):
            found = inspect_notebook(str(notebook))
    except OSError as error:
        raise DataError(f"Not readable ({error.strerror or error}). Check the path.", path=notebook) from None
    except DataError:
        raise
    except Exception as error:  # nbformat and papermill raise a dozen kinds for a damaged notebook
        raise DataError(f"Not a notebook that papermill can read: {_first_line(error)}", path=notebook) from None
    if not found:
        raise DataError("No cell tagged 'parameters'. Tag the cell that holds them (JupyterLab: gear).", path=notebook)
    return {
        name: Parameter(name, entry["default"], _kind(entry["inferred_type_name"], entry["default"]), entry["help"])
        for name, entry in found.items()
    }


def _kind(annotation: str, default: str) -> type | None:
    if annotation in KINDS:
        return KINDS[annotation]
    try:
        value = ast.literal_eval(default)
    except (ValueError, SyntaxError):
        return None
    return None if value is None else type(value)


def check_names(given: Collection[str], known: Collection[str], *, where: str) -> None:
    """Raises UsageError for the first name that is no parameter, with those that look like it."""
    for name in given:
        if name == SET_BY_SUITE:
            raise UsageError(f"Expected {where} to leave {SET_BY_SUITE} alone: the suite sets it. Use --out.")
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=3)
            message = expected(where, "a parameter of a chosen notebook", name, available=close or sorted(known))
            raise UsageError(message + (" Did you mean one of these?" if close else ""))


def parse_value(text: str, parameter: Parameter, *, where: str) -> Any:
    """The value that ``text`` from the command line stands for: itself for a string parameter, else a YAML scalar.

    Raises UsageError where it does not fit the parameter's default.
    """
    if parameter.kind is str:
        return text
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UsageError(expected(f"{where} {parameter.name}", "a YAML value", text)) from None
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+\.?\d*[eE][-+]?\d+", value):
        value = float(value)  # YAML 1.1 takes 5e-5 for a string, for want of a dot
    return check_value(value, parameter, where=where)


def check_value(value: Any, parameter: Parameter, *, where: str) -> Any:
    """``value`` as the notebook will get it. Raises UsageError where its type is not that of the default."""
    kind, name = parameter.kind, f"{where} {parameter.name}"
    if kind is None:
        if value is None or isinstance(value, (bool, int, float, str, list, dict)):
            return value
        raise UsageError(expected(name, "a number, a string, true, false or null", value))
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        dot = " Write it with a dot, as 5.0e-5." if kind is float and isinstance(value, str) else ""
        what = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "a string"}
        default = f"The notebook's default is {parameter.default}.{dot}"
        raise UsageError(expected(name, what.get(kind.__name__, f"a {kind.__name__}"), value, remedy=default))
    return value


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file: of a profile, parameter → value; papermill's ``-f`` reads the same file.

    Raises DataError where it is not YAML, or not one flat mapping.
    """
    try:
        with reading(path):
            values = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise DataError("No such file. Check the path.", path=path) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "broken"
        raise DataError(f"Not YAML: {problem}.", path=path, line=mark and mark.line + 1) from None
    if values is None:
        return {}
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise DataError("Expected one mapping, name: value.", path=path)
    return dict(values)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
