"""The notebooks run: all of them as ``make run`` runs them, one by plain papermill, parameters listed with their help."""

import json
import os
import subprocess
import sys
from pathlib import Path

import papermill
import pytest

from bioutils.report import make_report
from bioutils.suite import run_suite

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


@pytest.mark.slow
def test_the_suite_runs_with_the_quick_profile(tmp_path):
    result = run_suite(profile="quick", out=tmp_path / "quick", cores=1)
    assert [(row.job, row.state, row.detail) for row in result.rows] == [(path.stem, "ok", "") for path in NOTEBOOKS]
    for path in NOTEBOOKS:
        folder = tmp_path / "quick" / path.stem
        assert {"metrics.json", "config.json", "env.json", f"{path.stem}.html"} <= {p.name for p in folder.iterdir()}
        assert list((folder / "figures").glob("*.png"))
        metrics = json.loads((folder / "metrics.json").read_text())
        assert all(isinstance(value, (int, float)) for value in metrics.values())
    trained = json.loads((tmp_path / "quick" / "03_finetune_with_trainer" / "metrics.json").read_text())
    assert trained["accuracy"] > trained["baseline_accuracy_high"]  # 130 test rows: a wide interval, and well above it
    page = make_report(tmp_path / "quick").read_text(encoding="utf-8")
    assert page.count("<img") >= 10
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


@pytest.mark.slow
def test_embeddings_of_a_relation_corpus(tmp_path):
    """Whose rows have no names, and whose classes are not the ontology's three."""
    changes = {"corpus": "pgxcorpus", "epochs": "4", "maps": "pca"}
    result = run_suite(["06"], profile="quick", overrides=changes, out=tmp_path / "quick", cores=1)
    assert [(row.state, row.detail) for row in result.rows] == [("ok", "")]


@pytest.mark.slow
def test_one_runs_by_plain_papermill(tmp_path):
    call = [sys.executable, "-m", "papermill", str(NOTEBOOKS[0]), str(tmp_path / "out.ipynb"), "-k", "python3"]
    call += [
        "-f",
        str(ROOT / "notebooks" / "profiles" / "quick.yaml"),
        "-p",
        "run_dir",
        str(tmp_path),
        "-p",
        "seed",
        "7",
    ]
    done = subprocess.run(call, capture_output=True, text=True, env=os.environ | {"BIOUTILS_DATA": ""}, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((tmp_path / NOTEBOOKS[0].stem / "config.json").read_text())["seed"] == 7


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_papermill_lists_every_parameter_with_its_help(path):
    parameters = papermill.inspect_notebook(path)
    assert {"seed", "run_dir", "encoder"} <= parameters.keys()
    assert all(parameter["help"] for parameter in parameters.values()), path
