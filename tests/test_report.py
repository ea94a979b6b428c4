"""The page of a run: everything the notebooks left is on it, and nothing they wrote can act on it."""

import re
from pathlib import Path

import pytest
from PIL import Image

from bioutils.errors import UsageError
from bioutils.files import write_json
from bioutils.report import format_number, make_report, mean_and_deviation

HOSTILE = "<script>alert(1)</script>\"'&"


def add(run: Path, name: str, *, metrics=None, figures=None, config=None, **status) -> Path:
    """A notebook's folder as the suite leaves it."""
    folder = run / name
    folder.mkdir(parents=True)
    known = {"title": f"Title of {name}", "subtitle": "Subtitle", "state": "ok", "seconds": 73.2, "error": None}
    write_json(folder / "status.json", known | {"started": "2026-01-02T10:00:00+00:00"} | status)
    write_json(folder / "config.json", config or {"profile": "quick", "encoder": "minilm", "seed": 7})
    write_json(folder / "env.json", {"torch": "2.13.0", "python": "3.11"})
    write_json(folder / "metrics.json", metrics or {})
    for figure, caption in (figures or {}).items():
        (folder / "figures").mkdir(exist_ok=True)
        Image.new("RGBA", (1000, 500), (0, 0, 0, 0)).save(folder / "figures" / f"{figure}.png")
        write_json(folder / "figures" / "captions.json", {figure: caption})
    (folder / f"{Path(name).name}.html").write_text("executed")
    return folder


def page(run: Path) -> str:
    path = make_report(run)
    assert path == run / "index.html"
    return path.read_text("utf-8")


def test_title_state_time_numbers_figures_and_links_are_there(tmp_path):
    metrics = {"n_test": 1000, "accuracy": 0.93, "accuracy_low": 0.9, "accuracy_high": 0.954, "seconds": 9.0}
    folder = add(tmp_path, "03_train", metrics=metrics, figures={"curve": "Loss by epoch"})
    (folder / "table.xlsx").write_bytes(b"x" * 2500)
    html = page(tmp_path)
    for text in ("Title of 03_train", "Subtitle", "1 min 13 s", "0.930", "(0.900–0.954)", "number of test", "1,000"):
        assert text in html
    assert "accuracy low" not in html
    assert html.index("<dt>accuracy") < html.index("<dt>number of test"), "what has an interval comes first"
    assert 'alt="Loss by epoch"' in html
    assert 'href="03_train/figures/curve.png"' in html
    assert 'href="03_train/03_train.html"' in html
    assert 'href="03_train/table.xlsx"' in html
    assert "torch 2.13.0" in html
    assert re.search(r"Seed</dt><dd>7<", html)
    assert "Grid points compared" not in html


def test_a_model_s_folder_is_no_notebook(tmp_path):
    folder = add(tmp_path, "03_train")
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text("{}")
    assert "1 of 1 notebook run ended" in page(tmp_path)


def test_a_thumbnail_is_small_and_on_white(tmp_path):
    add(tmp_path, "03_train", figures={"curve": "c"})
    html = page(tmp_path)
    assert re.search(r'<img src="data:image/webp;base64,[^"]+" width="640" height="320"', html)


def test_nothing_comes_from_the_network_and_nothing_acts(tmp_path):
    error = {"name": HOSTILE, "message": HOSTILE, "cell": 3, "source": HOSTILE, "section": HOSTILE}
    add(
        tmp_path,
        "03_train",
        title=HOSTILE,
        subtitle=HOSTILE,
        state="failed",
        error=error,
        metrics={HOSTILE: 1, "b": HOSTILE},
        figures={"curve": HOSTILE},
        config={"profile": HOSTILE, "encoder": HOSTILE},
    )
    (tmp_path / "03_train" / "<b>#?.xlsx").touch()
    html = page(tmp_path)
    assert "<script" not in html
    assert "alert(1)" in html
    assert 'href="03_train/%3Cb%3E%23%3F.xlsx"' in html
    assert not re.search(r'(src|href)="(?!data:image/webp|#|03_train/)', html)
    assert "http" not in html


def test_a_failure_says_where(tmp_path):
    error = {"name": "KeyError", "message": "'x'", "cell": 4, "source": "d['x']", "section": "2. Train"}
    add(tmp_path, "03_train", state="failed", error=error)
    html = page(tmp_path)
    assert "KeyError in cell In [4] of “2. Train”" in html
    assert "0 of 1 notebook run ended well" in html


def test_what_did_not_run_shows_no_earlier_numbers(tmp_path):
    error = {"name": "Not run", "message": "needs 03_train"}
    add(tmp_path, "08_score", state="not run", error=error, metrics={"accuracy": 0.123}, figures={"old": "Old figure"})
    html = page(tmp_path)
    assert "Not run: needs 03_train." in html
    assert "0.123" not in html
    assert "Old figure" not in html


def test_grid_points_are_compared(tmp_path):
    for seed, accuracy in ((2, 0.98), (10, 0.99), (9, 0.985)):
        add(tmp_path, f"seed={seed}/03_train", metrics={"accuracy": accuracy, "n_test": 50}, config={"seed": seed})
    html = page(tmp_path)
    assert "0.985 ± 0.005" in html
    assert "The same at every point: number of test 50." in html
    assert re.search(r"Seeds</dt><dd>2, 9, 10<", html)
    points = re.findall(r"<h3>(seed=\d+)</h3>", html)
    assert points == ["seed=2", "seed=9", "seed=10"]
    assert 'href="seed%3D2/03_train/03_train.html"' in html


def test_a_damaged_file_is_told_on_the_card_and_spoils_no_other(tmp_path):
    add(tmp_path, "01_look", metrics={"n_terms": 5})
    folder = add(tmp_path, "03_train", figures={"curve": "c"})
    (folder / "metrics.json").write_text('{"accuracy": ')
    (folder / "figures" / "curve.png").write_bytes(b"no picture")
    html = page(tmp_path)
    assert "metrics.json:1: Not JSON" in html
    assert "curve.png (damaged)" in html
    assert "number of terms" in html


def test_a_notebook_run_by_hand_is_shown(tmp_path):
    folder = add(tmp_path, "03_train", metrics={"accuracy": 0.5, "seconds": 61})
    (folder / "status.json").unlink()
    html = page(tmp_path)
    assert "run by hand" in html
    assert "1 min 1 s" in html


def test_a_folder_that_is_no_run_is_told(tmp_path):
    with pytest.raises(UsageError, match="bioutils run"):
        make_report(tmp_path)
    assert not (tmp_path / "index.html").exists()


def test_many_numbers_are_folded(tmp_path):
    add(tmp_path, "03_train", metrics={f"m{number}": number / 10 for number in range(9)})
    html = page(tmp_path)
    assert "All 9 numbers" in html
    assert html.count("<dt>m") == 8


def test_what_is_no_number_is_shown_as_it_is():
    assert (format_number(True), format_number("x"), format_number(-0.0001), format_number(12345.5)) == (
        "True",
        "x",
        "-1.0e-04",
        "12,345.5",
    )


def test_one_value_has_no_deviation():
    assert mean_and_deviation([0.5]) == ""
    assert mean_and_deviation(["a", 1, 3]) == "2.000 ± 1.414"
