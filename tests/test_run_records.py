import json
from pathlib import Path

import pytest

from bioutils.errors import DataError, UsageError
from bioutils.run_records import add_record, read_records, record_table


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "new" / "runs.jsonl"
    for balance, f1 in ((0.0, 0.5), (1.0, 0.75)):
        parameters = {"out": f"b{balance}", "model": {"frozen": True, "layers": [1]}, "training": {"balance": balance}}
        add_record(
            path, name=f"b{balance}", folder=f"x/b{balance}", parameters=parameters, scores={"mean": {"f1": f1}}, n=3
        )
    return path


def test_a_run_is_added_and_none_is_lost(path):
    add_record(path, name="b1.0", folder="x/b1.0", parameters={}, scores={})
    assert [r["name"] for r in read_records(path)] == ["b0.0", "b1.0", "b1.0"]
    assert [r["name"] for r in read_records(path, names=["x/b0.0"])] == ["b0.0"]
    assert read_records(path)[0]["n"] == 3


def test_the_table_shows_the_parameters_that_differ(path):
    table = record_table(read_records(path))
    assert table.columns.tolist() == ["run", "finished", "training.balance", "mean.f1"]
    assert table["mean.f1"].tolist() == [0.5, 0.75]
    table = record_table(read_records(path), by=["model.frozen", "model.layers"])
    assert table.columns.tolist() == ["run", "finished", "model.frozen", "model.layers", "mean.f1"]
    with pytest.raises(UsageError, match=r"model\.frozen"):
        record_table(read_records(path), by=["thawed"])


def test_parameters_of_files_and_of_notebooks_are_compared_by_their_last_parts(path):
    heads = {"a": {"scheme": "BIO"}, "b": {"scheme": "none"}}
    add_record(path, name="book", folder="x", parameters={"balance": 0.5, "frozen": False, "scheme": "none"}, scores={})
    add_record(path, name="two", folder="y", parameters={"model": {"heads": heads}}, scores={})
    records = read_records(path)
    table = record_table(records, by=["balance", "frozen", "scheme"])
    assert table.columns.tolist()[:5] == ["run", "finished", "balance", "frozen", "scheme"]
    assert table["balance"].tolist()[:3] == [0.0, 1.0, 0.5]
    assert table["frozen"].tolist() == [True, True, False, None]
    assert table["scheme"].dropna().to_dict() == {2: "none"}  # of two heads' schemes neither is the run's
    assert record_table(records, by=["training.balance"])["training.balance"].tolist()[:3] == [0.0, 1.0, 0.5]
    assert record_table(records, by=["model.heads.a.scheme"])["model.heads.a.scheme"].tolist()[2:] == ["none", "BIO"]
    with pytest.raises(UsageError, match=r"found 'heads\.scheme'.*model\.heads\.a\.scheme"):
        record_table(records[3:], by=["heads.scheme"])


@pytest.mark.parametrize("line", ["{oops", "[]", json.dumps({"name": "a"})])
def test_a_broken_line_is_named(path, line):
    with path.open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(DataError, match=r"runs\.jsonl:3: Not"):
        read_records(path)


def test_a_run_is_found_from_anywhere_and_when_moved_with_its_record(tmp_path, monkeypatch):
    (tmp_path / "a" / "outputs" / "tags").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    path = Path("outputs/runs.jsonl")
    for folder in ("outputs/tags", "../elsewhere"):
        add_record(path, name="r", folder=folder, parameters={}, scores={})
    with path.open("a") as stream:  # as it was noted once
        stream.write(
            json.dumps({"finished": "", "name": "old", "folder": "../elsewhere", "parameters": {}, "scores": {}}) + "\n"
        )
    elsewhere = str(tmp_path / "elsewhere")
    assert [r["folder"] for r in read_records(path)] == [str(tmp_path / "a" / "outputs" / "tags"), elsewhere, elsewhere]
    assert len(read_records(path, names=["outputs/tags"])) == 1
    monkeypatch.chdir(tmp_path)
    assert [r["folder"] for r in read_records("a/outputs/runs.jsonl")][0] == str(tmp_path / "a" / "outputs" / "tags")
    (tmp_path / "a").rename(tmp_path / "b")
    found = read_records("b/outputs/runs.jsonl")
    assert [r["folder"] for r in found][:2] == [str(tmp_path / "b" / "outputs" / "tags"), elsewhere]
    assert read_records("b/outputs/runs.jsonl", names=[elsewhere]) == found[1:2]


def test_unknown_runs(path, tmp_path):
    with pytest.raises(UsageError, match=r"b0\.0"):
        read_records(path, names=["c"])
    with pytest.raises(UsageError, match="records"):
        read_records(tmp_path / "none.jsonl")
