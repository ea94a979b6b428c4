import json
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from bioutils.errors import UsageError
from bioutils.run_records import read_records
from bioutils.runs import start_run


@pytest.fixture
def run(tmp_path):
    return start_run("03_x", seed=7, run_dir=str(tmp_path), profile="quick", epochs=2)


def test_start_writes_what_another_person_needs(run, tmp_path, capsys):
    assert run.folder == tmp_path / "03_x"
    config, env = (json.loads((run.folder / f"{name}.json").read_text()) for name in ("config", "env"))
    assert config == {"profile": "quick", "epochs": 2, "seed": 7, "run_dir": str(tmp_path)}
    assert {"python", "torch", "transformers", "threads"} <= env.keys()


def test_the_seed_seeds_all_generators(tmp_path):
    import random

    import torch

    draws = []
    for _ in range(2):
        start_run("a", seed=3, run_dir=str(tmp_path))
        draws.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert draws[0] == draws[1]


def test_metrics_are_merged_and_must_be_numbers(run):
    run.log(a=1, b=np.float32(0.5))
    run.log(b=0.25, c=True)
    assert json.loads((run.folder / "metrics.json").read_text()) == {"a": 1, "b": 0.25, "c": 1}
    for bad in (float("nan"), float("inf"), "0.5", None):
        with pytest.raises(UsageError, match="metric d"):
            run.log(d=bad)


def test_a_second_run_clears_the_first(run, tmp_path):
    run.log(a=1)
    run.save_figure(plt.figure(), "f", caption="C")
    run.save_predictions(pd.DataFrame({"x": [1]}))
    assert json.loads((run.folder / "figures" / "captions.json").read_text()) == {"f": "C"}
    start_run("03_x", seed=7, run_dir=str(tmp_path))
    assert {p.name for p in run.folder.rglob("*") if p.is_file()} == {"config.json", "env.json"}


def test_axes_arrays_and_figures_can_be_saved(run):
    _, axes = plt.subplots(1, 2)
    for i, drawn in enumerate((axes, axes[0], axes[0].figure)):
        run.save_figure(drawn, f"f{i}")
        assert (run.folder / "figures" / f"f{i}.png").stat().st_size > 1000


def test_nothing_is_written_outside(run):
    with pytest.raises(UsageError, match="inside"):
        run.path("../other.txt")


@pytest.mark.parametrize(
    "wrong",
    [{"profile": "fast"}, {"sample": 1}, {"epochs": 0}, {"learning_rate": "x"}, {"split": "time"}, {"train_size": -1}, {"encoder": ""}],
)  # fmt: skip
def test_a_bad_parameter_stops_before_anything_is_written(tmp_path, wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        start_run("a", seed=1, run_dir=str(tmp_path), **wrong)
    assert list(tmp_path.iterdir()) == []


def test_finished_lists_the_files(run):
    run.note(data_version="v1")
    assert "metrics.json" in run.finished()["file"].tolist()
    assert json.loads((run.folder / "config.json").read_text())["data_version"] == "v1"


def test_a_finished_run_is_on_record(run, monkeypatch):
    run.log(f1=0.5)
    run.finished()
    run.finished()
    records = read_records(run.folder.parent / "runs.jsonl")
    assert [(r["name"], r["folder"], r["parameters"]["epochs"], r["scores"]["f1"]) for r in records] == [
        ("03_x", str(run.folder), 2, 0.5)
    ] * 2
    monkeypatch.setattr("bioutils.runs.project_root", lambda: run.folder.parents[1])
    assert run.records == run.folder.parent / "runs.jsonl"  # not within outputs
    monkeypatch.setattr("bioutils.runs.project_root", lambda: run.folder)
    inside = replace(run, folder=run.folder / "outputs" / "quick" / "03_x")
    assert inside.records == run.folder / "outputs" / "runs.jsonl"


def test_a_page_in_a_frame_stays_in_it(recwarn):
    from bioutils.runs import frame

    shown = frame('<p class="a">x &amp; y</p></iframe><script>1</script>', height=300).data
    assert shown.count("<iframe") == shown.count("</iframe>") == 1
    assert "<script" not in shown
    assert "&lt;p class=&quot;a&quot;&gt;x &amp;amp; y" in shown
    assert 'height="300"' in shown
    assert not recwarn
