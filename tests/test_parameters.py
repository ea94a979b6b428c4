"""Parameters are read as papermill reads them, and a wrong name or type is told before anything runs."""

import pytest

from bioutils.errors import DataError, UsageError
from bioutils.parameters import Parameter, check_names, check_value, parse_value, read_mapping, read_parameters

CELL = """seed = 0  # a seed
learning_rate = 5e-5  # a rate
encoder = "minilm"  # a name
sample = True
limit = None  # anything
layers = [1, 2]
share: float = 1  # whole, yet a share
"""


def of(kind: type | None) -> Parameter:
    return Parameter("x", "", kind, "")


def test_reads_names_defaults_kinds_and_help(tmp_path, write_notebook):
    found = read_parameters(write_notebook(tmp_path / "01_a.ipynb", parameters=CELL))
    assert list(found) == ["seed", "learning_rate", "encoder", "sample", "limit", "layers", "share"]
    assert [p.kind for p in found.values()] == [int, float, str, bool, None, list, float]
    assert found["learning_rate"] == Parameter("learning_rate", "5e-5", float, "a rate")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (int, "7", 7),
        (float, "5e-5", 0.00005),
        (float, "3", 3.0),
        (bool, "true", True),
        (str, "007", "007"),
        (str, "", ""),
        (str, "true", "true"),
        (None, "null", None),
        (None, "1e3", 1000.0),
        (list, "[1, 2]", [1, 2]),
    ],
)
def test_text_becomes_a_value_of_the_default_s_type(kind, text, value):
    found = parse_value(text, of(kind), where="-p")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (int, "x"),
        (int, "1.5"),
        (int, "true"),
        (float, "fast"),
        (bool, "1"),
        (bool, "maybe"),
        (list, "1"),
        (int, ""),
        (int, "["),
    ],
)
def test_a_value_of_another_type_is_refused(kind, text):
    with pytest.raises(UsageError, match="Expected -p x to be"):
        parse_value(text, of(kind), where="-p")


def test_a_profile_s_number_without_a_dot_is_told_how_to_write_it():
    with pytest.raises(UsageError, match=r"as 5\.0e-5"):
        check_value("5e-5", of(float), where="profile")


def test_an_unknown_name_is_told_with_what_looks_like_it():
    with pytest.raises(UsageError, match=r"found 'sed'.*\['seed'\]"):
        check_names(["sed"], {"seed", "epochs"}, where="-p")


def test_run_dir_belongs_to_the_suite():
    with pytest.raises(UsageError, match="Use --out"):
        check_names(["run_dir"], {"run_dir"}, where="-p")


@pytest.mark.parametrize(
    "content", [b"", b"print(1)", b'{"cells": [', b'{"cells": "\xff"}', b'{"nbformat": 4, "cells": []}']
)
def test_what_is_no_notebook_is_one_clear_error(tmp_path, content):
    path = tmp_path / "01_a.ipynb"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"01_a\.ipynb"):
        read_parameters(path)


def test_a_notebook_without_parameters_is_refused(tmp_path, write_notebook):
    with pytest.raises(DataError, match="No cell tagged 'parameters'"):
        read_parameters(write_notebook(tmp_path / "01_a.ipynb", parameters="print(1)"))


@pytest.mark.parametrize(
    ("text", "message"), [("a: [1", ":1: Not YAML|:2: Not YAML"), ("- a", "one mapping"), ("1: 2", "one mapping")]
)
def test_a_broken_profile_is_one_clear_error(tmp_path, text, message):
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        read_mapping(tmp_path / "p.yaml")


def test_an_empty_profile_sets_nothing(tmp_path):
    (tmp_path / "p.yaml").write_text("# nothing\n")
    assert read_mapping(tmp_path / "p.yaml") == {}
