"""The suite: checks a plan, has Snakemake carry it out, and says what ran, how long it took, what failed and where.

Snakemake is the engine (dependencies, resume, cores, clusters); this module holds no scheduler of its own.
"""

import contextlib
import fcntl
import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bioutils.errors import BioutilsError, UsageError, expected
from bioutils.execution import read_title
from bioutils.files import atomic_writer, read_json, write_json
from bioutils.plan import Job, make_plan
from bioutils.report import make_report
from bioutils.runs import project_root

TIMEOUT = 4 * 3600  # seconds a cell: longer than any training here takes on two cores, short enough to end a hang
GRACE = 20  # seconds Snakemake gets to end its jobs after an interrupt


@dataclass(frozen=True)
class Row:
    """What became of one job. ``state``: ok, up to date, failed, timed out, stopped, not run; or, planned: to run."""

    job: str
    state: str
    seconds: float
    detail: str


@dataclass(frozen=True)
class SuiteResult:
    """The rows of a run and the path of its report (None after a dry run)."""

    rows: list[Row]
    report: Path | None

    @property
    def ok(self) -> bool:
        """Whether nothing failed and nothing was left out."""
        return all(row.state in ("ok", "up to date", "to run") for row in self.rows)


def run_suite(
    notebooks: Sequence[str] = (),
    *,
    profile: str = "quick",
    overrides: Mapping[str, str] | None = None,
    grid: Mapping[str, Sequence[str]] | None = None,
    cores: int | None = None,
    executor: str | None = None,
    out: Path | None = None,
    timeout: int = TIMEOUT,
    dry_run: bool = False,
    force: bool = False,
    notebooks_dir: Path | None = None,
) -> SuiteResult:
    """The result of executing the notebooks (all where none is named) into ``out`` (``outputs/<profile>``).

    Values in ``overrides`` and ``grid`` are text, as on the command line. ``timeout``: seconds a cell, 0 for none.
    Everything is checked before the first notebook starts: raises UsageError or DataError then, BioutilsError where
    Snakemake itself fails. Notebooks that fail do not raise: they are rows. What is up to date is not run again.
    """
    notebooks_dir = (notebooks_dir or project_root() / "notebooks").resolve()
    out = (out or project_root() / "outputs" / Path(profile).stem).expanduser().resolve()
    cores = cores or _cores()
    if executor and executor != "local" and not importlib.util.find_spec(f"snakemake_executor_plugin_{executor}"):
        package = f"snakemake-executor-plugin-{executor}"
        raise UsageError(
            expected("--executor", "an installed Snakemake executor", executor, remedy=f"Install {package}.")
        )
    if out.exists() and not out.is_dir():
        raise UsageError(expected("--out", "a folder", str(out)))
    jobs = make_plan(
        notebooks, notebooks_dir=notebooks_dir, out=out, profile=profile, overrides=overrides or {}, grid=grid or {}
    )
    with _locked(out) as lock:
        started = datetime.now(UTC).isoformat()
        plan = _write_plan(jobs, out, cores=cores, timeout=timeout)
        command = _command(plan, out, notebooks_dir, cores=cores, executor=executor, force=force)
        if dry_run:
            return SuiteResult(_planned(jobs, command, force=force), None)
        code = _snakemake(command, out / "snakemake.log", lock)
        if code and not any(_has_started(out / job.folder, started) for job in jobs):
            raise BioutilsError(f"Snakemake ended with {code}. {_tail(out / 'snakemake.log')}")
        return SuiteResult(_gather(jobs, out, started), make_report(out))


def _cores() -> int:
    """The cores this process may use, which in a container or under SLURM are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _write_plan(jobs: list[Job], out: Path, *, cores: int, timeout: int) -> Path:
    """The path of ``.suite/plan.json``, with a parameter file a job beside it, each rewritten only if it changed."""
    folder = out / ".suite"
    # Heavy jobs share the cores evenly, down to one each: small trainings side by side, a thread each, are done sooner than one
    # after the other on all cores (see benchmarks, "The suite"). Where there is more, each leaves one for a light job.
    heavy = sum(not job.light for job in jobs) or 1
    share = max(1, cores // heavy)
    entries = []
    for number, job in enumerate(jobs):
        parameters, text = folder / f"{job.folder}.yaml", job.text()
        if not parameters.exists() or parameters.read_text("utf-8") != text:
            with atomic_writer(parameters) as stream:
                stream.write(text)
        entries.append(
            {
                "rule": "".join(c if c.isalnum() else "_" for c in f"{job.folder}_{number}"),
                "folder": job.folder,
                "notebook": str(job.notebook),
                "parameters": str(parameters),
                "run_dir": str(out / job.point) if job.takes_run_dir else None,
                "needs": list(job.needs),
                "makes": list(job.makes),
                "done": f"{job.folder}/.done",
                "threads": 1 if job.light else max(1, share - 1),
                # None leaves the choice to torch, which knows cores from hyper-threads.
                "omp_threads": os.environ.get("OMP_NUM_THREADS")
                or (share if share < cores and not job.light else None),
                "heavy": 0 if job.light else 1,
            }
        )
    plan = folder / "plan.json"
    settings = {"python": sys.executable, "plan": str(plan), "out": str(out), "cwd": str(Path.cwd())}
    write_json(plan, settings | {"timeout": timeout, "heavy_at_once": cores // share, "jobs": entries})
    return plan


def _command(plan: Path, out: Path, notebooks_dir: Path, *, cores: int, executor: str | None, force: bool) -> list[str]:
    snakefile = notebooks_dir / "Snakefile"
    snakefile = snakefile if snakefile.exists() else project_root() / "notebooks" / "Snakefile"
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--configfile", str(plan)]
    command += ["--directory", str(out), "--cores", str(cores), "--scheduler", "greedy", "--keep-going", "--nocolor"]
    command += ["--resources", f"heavy={read_json(plan)['heavy_at_once']}"]
    command += ["--rerun-triggers", "mtime", "--rerun-incomplete", "--keep-incomplete"]
    command += ["--nolock"]  # Snakemake's own lock outlives a killed run; _locked() holds one that cannot
    if executor:
        command += ["--executor", executor, "--jobs", str(cores)]
    return [*command, "--forceall"] if force else command


@contextlib.contextmanager
def _locked(out: Path) -> Iterator[int]:
    """A file descriptor whose lock keeps a second run out of ``out``; it ends with the last process that holds it."""
    try:
        (out / ".suite").mkdir(parents=True, exist_ok=True)
        stream = (out / ".suite" / "lock").open("w")
    except OSError as error:
        raise BioutilsError(f"{out}: not writable ({error.strerror}). Choose another folder with --out.") from None
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BioutilsError(f"{out}: another run is at work there. Wait for it, or choose another --out.") from None
        yield stream.fileno()


def _snakemake(command: list[str], log: Path, lock: int) -> int:
    """Snakemake's exit code. Its messages go to ``log``, the jobs' lines to the terminal.

    It runs in a process group of its own, which an interrupt or a termination of this process takes down whole.
    """
    package = str(Path(__file__).resolve().parent.parent)
    paths = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    with log.open("w", encoding="utf-8") as stream, _ending_on_signals():
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stderr=stream,
            env=os.environ | {"PYTHONPATH": paths},
            process_group=0,
            pass_fds=[lock],
        )
        try:
            return process.wait()
        except BaseException:  # also KeyboardInterrupt and SystemExit
            _end_group(process)
            raise


def _end_group(process: subprocess.Popen) -> None:
    """Ends Snakemake and its jobs, which shut their kernels down; what is left after GRACE seconds is killed."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline:
            process.poll()  # a zombie would count as a member of the group
            os.killpg(process.pid, 0)  # raises when the group is empty
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def _ending_on_signals() -> Iterator[None]:
    """Makes a termination or a closed terminal leave this process by SystemExit, so that it can clean up."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, frame: Any) -> None:
    sys.exit(128 + number)


def _planned(jobs: list[Job], command: list[str], *, force: bool) -> list[Row]:
    """What Snakemake would do, from its summary: a line an output file, the last column "no update" or why not."""
    result = subprocess.run([*command, "--summary"], capture_output=True, text=True, check=False)
    if result.returncode:
        raise BioutilsError(f"Snakemake ended with {result.returncode}. {result.stderr.strip()[-1000:]}")
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    current = {line[0] for line in lines if line[-1].strip() == "no update"}
    states = {job.folder: "up to date" if f"{job.folder}/.done" in current and not force else "to run" for job in jobs}
    return [Row(job.folder, states[job.folder], 0.0, _parameters(job)) for job in jobs]


def _parameters(job: Job) -> str:
    return " ".join(f"{name}={value}" for name, value in job.parameters.items())


def _has_started(folder: Path, since: str) -> bool:
    """Whether the job wrote a status since then (both are UTC, ISO)."""
    return (folder / "status.json").exists() and read_json(folder / "status.json").get("started", "") >= since


def _gather(jobs: list[Job], out: Path, started: str) -> list[Row]:
    """A row a job, from the status files; what was killed or left out gets a status that says so."""
    maker = {file: job for job in jobs for file in job.makes}

    def status_of(job: Job) -> dict[str, Any]:
        path = out / job.folder / "status.json"
        if path.exists():
            return read_json(path)
        title, subtitle = read_title(job.notebook)
        return {"notebook": job.notebook.stem, "title": title, "subtitle": subtitle, "state": "stopped", "seconds": 0.0}

    def is_ok(job: Job) -> bool:
        return status_of(job)["state"] == "ok" and all(is_ok(maker[file]) for file in job.needs if file in maker)

    rows = []
    for job in jobs:
        status = status_of(job)
        failed = sorted({maker[file].notebook.stem for file in job.needs if file in maker and not is_ok(maker[file])})
        if failed:
            error = {"name": "Not run", "message": f"needs {', '.join(failed)}"}
            status |= {"state": "not run", "seconds": 0.0, "error": error}
        elif status["state"] in ("running", "stopped"):
            message = (
                "ended without a word, as when it is killed or memory runs out: see snakemake.log in the run's folder"
            )
            status |= {"state": "stopped", "error": {"name": "Stopped", "message": message}}
        if status["state"] in ("not run", "stopped"):
            write_json(out / job.folder / "status.json", status)
        state = "up to date" if status["state"] == "ok" and status["started"] < started else status["state"]
        rows.append(Row(job.folder, state, status["seconds"], describe_error(status.get("error"))))
    return rows


def describe_error(error: Mapping[str, Any] | None) -> str:
    """One line for a status' error: in which cell, and what; the report has the whole of it."""
    if not error:
        return ""
    place = f"In [{error['cell']}] " if error.get("cell") else ""
    return textwrap.shorten(f"{place}{error['name']}: {error['message']}", 160, placeholder=" …")


def _tail(log: Path) -> str:
    """The end of Snakemake's messages, for an error that no notebook explains."""
    return f"Its last words, from {log}:\n" + "\n".join(log.read_text("utf-8", "replace").splitlines()[-15:])
