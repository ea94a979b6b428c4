"""The suite, run for real by Snakemake on notebooks of a line or two."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bioutils import suite
from bioutils.errors import BioutilsError, UsageError
from bioutils.files import read_json
from bioutils.plan import Job
from bioutils.suite import Row, run_suite


@pytest.fixture
def notebooks(tmp_path, write_notebook) -> Path:
    """02 makes a file that 03 needs; 04 fails, and 05 needs a file of it; 01 is on its own."""
    folder = tmp_path / "notebooks"
    write_notebook(
        folder / "01_alone.ipynb", "import os, sys; print(sys.executable, os.environ.get('OMP_NUM_THREADS'))"
    )
    make = "from pathlib import Path\nPath(run_dir, '02_makes', 'made.txt').write_text(str(seed))"
    write_notebook(folder / "02_makes.ipynb", make)
    write_notebook(
        folder / "03_needs.ipynb",
        "from pathlib import Path\nprint('made', Path(run_dir, '02_makes', 'made.txt').read_text())",
    )
    write_notebook(
        folder / "04_fails.ipynb", "raise KeyError('<script>')", parameters='seed = 0\nother = 0\nrun_dir = ""'
    )
    write_notebook(folder / "05_blocked.ipynb", "1")
    (folder / "profiles").mkdir()
    (folder / "profiles" / "quick.yaml").write_text("seed: 1\n")
    needs = "needs: {03_needs: {02_makes/made.txt: null}, 05_blocked: {04_fails/x.txt: null}}"
    needs += "\nlight: [01_alone, 02_makes, 03_needs, 04_fails]"
    (folder / "suite.yaml").write_text(needs)
    return folder


def states(result) -> dict[str, str]:
    return {row.job: row.state for row in result.rows}


@pytest.mark.slow
def test_runs_resumes_and_reports(notebooks, tmp_path, capfd, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    out = tmp_path / "out"
    result = run_suite(notebooks_dir=notebooks, out=out, cores=2)
    expected = {"01_alone": "ok", "02_makes": "ok", "03_needs": "ok", "04_fails": "failed", "05_blocked": "not run"}
    assert states(result) == expected
    assert not result.ok
    assert result.rows[3].detail == "In [3] KeyError: '<script>'"
    assert result.rows[4].detail == "Not run: needs 04_fails"
    assert "03_needs · ok" in capfd.readouterr().out
    assert "made 1" in (out / "03_needs" / "03_needs.html").read_text("utf-8")
    alone = (out / "01_alone" / "01_alone.html").read_text("utf-8")
    assert f"{sys.executable} None" in alone, "the kernel is this interpreter, and Snakemake does not set its threads"
    page = (out / "index.html").read_text("utf-8")
    assert "KeyError" in page
    assert "<script>" not in page

    # The same again, without the failing one: nothing runs, and the report keeps all.
    again = run_suite(["1", "2", "3"], notebooks_dir=notebooks, out=out)
    assert states(again) == {"01_alone": "up to date", "02_makes": "up to date", "03_needs": "up to date"}
    assert again.ok
    assert "KeyError" in (out / "index.html").read_text("utf-8")

    # A changed parameter is seen by a dry run, which neither runs nor spoils anything.
    planned = run_suite(["1", "2", "3"], notebooks_dir=notebooks, out=out, overrides={"seed": "2"}, dry_run=True)
    assert set(states(planned).values()) == {"to run"}
    assert planned.report is None
    assert planned.rows[0].detail == "seed=2"
    planned = run_suite(["1", "2", "3"], notebooks_dir=notebooks, out=out, dry_run=True)
    assert set(states(planned).values()) == {"up to date"}

    # A changed notebook runs again, and so does what needs it, but nothing else.
    path = notebooks / "02_makes.ipynb"
    path.write_text(path.read_text("utf-8").replace("str(seed)", "'anew'"), "utf-8")
    changed = run_suite(["1", "2", "3"], notebooks_dir=notebooks, out=out)
    assert states(changed) == {"01_alone": "up to date", "02_makes": "ok", "03_needs": "ok"}
    assert "made anew" in (out / "03_needs" / "03_needs.html").read_text("utf-8")


@pytest.mark.slow
def test_a_grid_runs_each_point_with_what_it_needs(notebooks, tmp_path):
    out = tmp_path / "out"
    result = run_suite(["03"], notebooks_dir=notebooks, out=out, grid={"seed": ["5", "6"]})
    assert states(result) == {f"seed={n}/{name}": "ok" for n in (5, 6) for name in ("02_makes", "03_needs")}
    assert "made 6" in (out / "seed=6" / "03_needs" / "03_needs.ipynb").read_text("utf-8")
    assert "seed=5" in (out / "index.html").read_text("utf-8")


def test_a_second_run_in_the_same_folder_is_refused(notebooks, tmp_path):
    out = tmp_path / "out"
    with suite._locked(out), pytest.raises(BioutilsError, match="another run is at work"):
        run_suite(notebooks_dir=notebooks, out=out)
    with suite._locked(out):
        pass  # a lock ends with its holder


def test_a_termination_ends_the_kernels_too(notebooks, tmp_path, write_notebook):
    os.mkfifo(tmp_path / "pipe")
    kernel = "import os, time\nopen('pipe', 'w').write(f'{os.getpid()}\\n')\ntime.sleep(600)"
    write_notebook(notebooks / "01_alone.ipynb", kernel)
    call = f"run_suite(['1'], notebooks_dir=Path({str(notebooks)!r}), out=Path('out'))"
    code = f"from pathlib import Path; from bioutils.suite import run_suite; {call}"
    package = str(Path(suite.__file__).parent.parent)
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": package})
    pipe = os.open(tmp_path / "pipe", os.O_RDWR)  # both ways, so that it waits for the kernel instead of ending at once
    assert select.select([pipe], [], [], 60)[0], "the kernel started"
    pid = int(os.read(pipe, 100))
    os.close(pipe)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    deadline = time.monotonic() + 10  # an ended process keeps its number until init has asked after it
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(0.05)
    assert read_json(tmp_path / "out" / "01_alone" / "status.json")["state"] == "running"


def test_a_broken_workflow_is_told_with_snakemake_s_words(notebooks, tmp_path):
    (notebooks / "Snakefile").write_text("rule all:\n    input: 'nowhere.txt'\n")
    with pytest.raises(BioutilsError, match=r"(?s)Snakemake ended with 1.*nowhere\.txt"):
        run_suite(["1"], notebooks_dir=notebooks, out=tmp_path / "out")


def test_what_was_killed_is_not_called_done(tmp_path, write_notebook):
    job = Job(write_notebook(tmp_path / "01_a.ipynb"), "", {}, True, (), (), False)
    folder = tmp_path / "out" / "01_a"
    folder.mkdir(parents=True)
    (folder / "status.json").write_text('{"state": "running", "started": "2026", "seconds": 0.0, "error": null}')
    (row,) = suite._gather([job], tmp_path / "out", "2025")
    assert (row.state, row.job) == ("stopped", "01_a")
    assert "snakemake.log" in row.detail


def test_a_file_in_the_way_and_a_missing_executor_are_told(notebooks, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--out to be a folder"):
        run_suite(notebooks_dir=notebooks, out=tmp_path / "file")
    with pytest.raises(UsageError, match="Install snakemake-executor-plugin-nowhere"):
        run_suite(notebooks_dir=notebooks, out=tmp_path / "out", executor="nowhere")


@pytest.mark.parametrize(
    ("cores", "heavy_jobs", "share", "at_once"),
    [(2, 3, 1, 2), (16, 1, None, 1), (16, 3, 5, 3), (16, 9, 1, 16), (8, 3, 2, 4), (4, 1, None, 1), (1, 2, None, 1)],
)
def test_heavy_notebooks_share_the_cores(tmp_path, write_notebook, monkeypatch, cores, heavy_jobs, share, at_once):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    notebook = write_notebook(tmp_path / "03_a.ipynb")
    jobs = [Job(notebook, f"seed={n}", {}, True, (), (), False) for n in range(heavy_jobs)]
    jobs += [Job(notebook, "light", {}, True, (), (), True)]
    plan = read_json(suite._write_plan(jobs, tmp_path / "out", cores=cores, timeout=0))
    heavy, light = plan["jobs"][0], plan["jobs"][-1]
    assert (heavy["omp_threads"], plan["heavy_at_once"]) == (share, at_once)
    assert min(at_once, heavy_jobs) * heavy["threads"] <= cores
    if cores > heavy_jobs:
        assert heavy_jobs * heavy["threads"] + light["threads"] <= cores, "no core is left for a light job"


def test_force_and_executor_are_handed_to_snakemake(notebooks, tmp_path):
    plan = suite._write_plan([], tmp_path / "out", cores=2, timeout=0)
    command = suite._command(plan, tmp_path / "out", notebooks, cores=2, executor="slurm", force=True)
    assert command[-5:] == ["--executor", "slurm", "--jobs", "2", "--forceall"]


def test_rows_that_did_not_end_well_make_the_result_not_ok():
    good = [Row("a", state, 1.0, "") for state in ("ok", "up to date", "to run")]
    assert suite.SuiteResult(good, None).ok
    assert not any(
        suite.SuiteResult([Row("a", s, 0.0, "")], None).ok for s in ("failed", "timed out", "stopped", "not run")
    )
