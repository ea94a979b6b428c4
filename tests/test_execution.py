"""One notebook is executed, its state told, and its page asks nothing of the network."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest

from bioutils.execution import execute, main, read_title, to_html
from bioutils.files import read_json, write_json


@pytest.fixture
def run(tmp_path):
    """Executes a notebook into ``tmp_path/out/NAME`` and returns the status and that folder."""

    def call(notebook: Path, parameters=None, *, timeout: int = 0) -> tuple[dict, Path]:
        folder = tmp_path / "out" / notebook.stem
        status = execute(notebook, folder, parameters or {}, cwd=tmp_path, timeout=timeout, label=notebook.stem)
        assert read_json(folder / "status.json") == status
        return status, folder

    return call


def test_a_good_notebook(run, tmp_path, write_notebook):
    notebook = write_notebook(
        tmp_path / "notebooks" / "01_a.ipynb",
        "print('seed is', seed)",
        "open('here.txt', 'w').close()",
        title="01. Öne",
    )
    stale = tmp_path / "out" / "01_a" / "metrics.json"
    write_json(stale, {"accuracy": 1})
    status, folder = run(notebook, {"seed": 7})
    assert status["state"] == "ok"
    assert (status["title"], status["subtitle"], status["error"]) == ("01. Öne", "About 01_a", None)
    assert "seed is 7" in (folder / "01_a.html").read_text("utf-8")
    assert "seed is 7" in (folder / "01_a.ipynb").read_text("utf-8")
    assert (tmp_path / "here.txt").exists(), "relative paths start where the user stands"
    assert not stale.exists()
    assert not list(folder.glob(".*")), "nothing temporary is left"


def test_answers_stay_folded_away_on_the_page(tmp_path):
    answers = (
        "<details><summary>Answers</summary>\n\n1. *One*.\n2. Two.\n\n</details>\n\nAfter `<summary>`.\n\n![](dot.png)"
    )
    new = nbformat.v4
    (tmp_path / "dot.png").write_bytes(b"a picture")
    for text in (answers, answers.replace("<details><summary>", "<details open>\n<summary>")):
        nbformat.write(new.new_notebook(cells=[new.new_markdown_cell(text)]), tmp_path / "a.ipynb")
        page = to_html(tmp_path / "a.ipynb", title="a")
        body = page[page.index("<details") :]
        order = ["<details", "<summary>Answers</summary>", "<em>One</em>", "Two", "</ol>", "</details>", "After"]
        assert [body.index(part) for part in order] == sorted(body.index(part) for part in order)
        assert "data:image/png;base64" in body
        assert "<code>&lt;summary&gt;</code>" in body


def test_a_failing_notebook_says_where_and_keeps_what_was_done(run, tmp_path, write_notebook):
    status, folder = run(
        write_notebook(tmp_path / "01_a.ipynb", "print('first')", "x = 1\nraise ValueError('<b>no</b>')")
    )
    assert status["state"] == "failed"
    # In [1] is the parameters cell; without parameters papermill adds none
    assert status["error"] == {
        "name": "ValueError",
        "message": "<b>no</b>",
        "cell": 3,
        "source": "x = 1",
        "section": "",
    }
    assert "first" in (folder / "01_a.ipynb").read_text("utf-8")
    assert (folder / "01_a.html").exists()


def test_a_cell_over_its_time_ends_the_notebook(run, tmp_path, write_notebook):
    status, folder = run(write_notebook(tmp_path / "01_a.ipynb", "import time; time.sleep(600)"), timeout=2)
    assert status["state"] == "timed out"
    assert "longer than 2 s" in status["error"]["message"]
    assert (folder / "01_a.html").exists()


def test_a_kernel_that_dies_is_told(run, tmp_path, write_notebook):
    status, _ = run(write_notebook(tmp_path / "01_a.ipynb", "import os; os._exit(9)"))
    assert (status["state"], status["error"]["name"], status["error"]["cell"]) == ("failed", "Kernel", 2)
    assert "memory" in status["error"]["message"]


@pytest.mark.parametrize(("deaths", "state"), [(1, "ok"), (2, "failed")])
def test_a_kernel_that_dies_at_its_start_gets_one_more_try(run, tmp_path, write_notebook, monkeypatch, deaths, state):
    calls = []

    def start(notebook, executed, *_, **__):
        calls.append(notebook)
        shutil.copy(notebook, executed)
        if len(calls) <= deaths:
            raise RuntimeError("Kernel died before replying to kernel_info")

    monkeypatch.setattr("papermill.execute_notebook", start)
    status, _ = run(write_notebook(tmp_path / "01_a.ipynb"))
    assert (status["state"], len(calls)) == (state, 2)


def test_an_interrupted_notebook_is_not_called_done(run, tmp_path, write_notebook, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("papermill.execute_notebook", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(write_notebook(tmp_path / "01_a.ipynb"))
    assert read_json(tmp_path / "out/01_a/status.json")["state"] == "running"
    assert not (tmp_path / "out/01_a/.done").exists()


def test_the_page_asks_nothing_of_the_network(tmp_path, write_notebook):
    notebook = write_notebook(tmp_path / "01_a.ipynb", "1 + 1")
    page = to_html(notebook, title="<i>A</i>")
    assert not re.findall(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=.?(?:https?:)?//", page)
    assert "<script" not in page
    assert "<title>&lt;i&gt;A" in page


def test_a_notebook_without_a_heading_goes_by_its_name(tmp_path):
    path = tmp_path / "01_a.ipynb"
    path.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    assert read_title(path) == ("01_a", "")


def test_a_promised_file_that_was_not_written_is_a_failure(tmp_path, write_notebook, monkeypatch, capsys):
    folder = tmp_path / "out" / "01_a"

    def leave_nothing(notebook, executed, *_, **__):
        shutil.copy(notebook, executed)

    monkeypatch.setattr("papermill.execute_notebook", leave_nothing)
    monkeypatch.setattr("bioutils.execution._prepare_environment", lambda *_: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    (tmp_path / "p.yaml").write_text("seed: 1\n")
    job = {"rule": "r", "folder": "01_a", "notebook": str(write_notebook(tmp_path / "01_a.ipynb"))}
    job |= {"parameters": str(tmp_path / "p.yaml"), "run_dir": None, "makes": ["01_a/model.bin"], "omp_threads": None}
    plan = {"out": str(tmp_path / "out"), "cwd": str(tmp_path), "timeout": 0, "jobs": [job]}
    write_json(tmp_path / "plan.json", plan)
    assert main([str(tmp_path / "plan.json"), "r"]) == 1
    assert "did not write 01_a/model.bin" in read_json(folder / "status.json")["error"]["message"]
    assert not (folder / ".done").exists()
    (folder / "model.bin").touch()
    assert main([str(tmp_path / "plan.json"), "r"]) == 0
    assert (folder / ".done").exists()
    assert "01_a · ok" in capsys.readouterr().out
