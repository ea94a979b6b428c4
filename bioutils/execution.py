"""One notebook executed by papermill: what Snakemake starts for each job of the plan.

``python -m bioutils.execution PLAN RULE`` writes ``NN_name.ipynb`` and ``NN_name.html`` (executed), ``parameters.yaml``
and ``status.json`` into the job's folder, and exits 1 where the notebook failed. An empty ``.done`` says it did not.
"""

import os
import re
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from bioutils.errors import BioutilsError
from bioutils.files import atomic_path, atomic_writer, read_json, write_json

START_TIMEOUT = 120  # seconds; a kernel takes two, but not while ten others start
MESSAGE_LENGTH = 2000  # characters of an error kept; some carry a whole table
SET_BY_SNAKEMAKE = [f"{name}_NUM_THREADS" for name in ("OMP", "GOTO", "OPENBLAS", "MKL", "NUMEXPR")] + [
    "VECLIB_MAXIMUM_THREADS"
]

# The scripts of nbconvert's page come from a CDN, so that without a network it would wait for them: left out.
# Formulas then show as they were typed, and widgets as the text beside them.
OFFLINE_TEMPLATE = """{% extends 'lab/index.html.j2' %}
{% block html_head_js %}{% endblock %}{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}{% block jupyter_widgets %}{% endblock %}
{% block extra_css %}<style>main { max-width: 66rem; margin: 0 auto; }</style>{% endblock %}"""
FOLDS = re.compile(r"</?(?:details|summary)\b[^>]*>")
TEXT_BEFORE_WIDGETS = ["text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/plain"]


def execute(
    notebook: Path, folder: Path, parameters: dict[str, Any], *, cwd: Path, timeout: int, label: str
) -> dict[str, Any]:
    """The status of an executed notebook, also written to ``folder/status.json``.

    Keys: notebook, title, subtitle, state (ok, failed, timed out), started (UTC, ISO), seconds, and error (name, message,
    cell, source, section) or None. ``timeout`` is in seconds a cell, 0 for none. Interrupted, it leaves the state "running".
    """
    title, subtitle = read_title(notebook)
    status: dict[str, Any] = {"notebook": notebook.stem, "title": title, "subtitle": subtitle, "state": "running"}
    status |= {"started": datetime.now(UTC).isoformat(), "seconds": 0.0, "error": None}
    write_json(folder / "status.json", status)
    for stale in (folder / "metrics.json", *folder.glob("figures/*")):
        stale.unlink(missing_ok=True)  # a notebook that fails early would be reported with its earlier numbers
    start = time.monotonic()
    with atomic_path(folder / f"{notebook.stem}.ipynb") as executed:
        state, error = _run(notebook, executed, parameters, cwd=cwd, timeout=timeout, label=label)
        status |= {"state": state, "error": error, "seconds": round(time.monotonic() - start, 1)}
        html = to_html(executed, title=title)
    with atomic_writer(folder / f"{notebook.stem}.html") as stream:
        stream.write(html)
    write_json(folder / "status.json", status)
    return status


def read_title(notebook: Path) -> tuple[str, str]:
    """The ``# title`` and the ``> subtitle`` of a notebook's first cell; its file name where there are none."""
    import nbformat

    cells = nbformat.read(notebook, as_version=4).cells
    text = cells[0].source if cells and cells[0].cell_type == "markdown" else ""
    title = re.search(r"^# +(.+)$", text, re.MULTILINE)
    subtitle = re.search(r"^> *(.+)$", text, re.MULTILINE)
    return title[1].strip() if title else notebook.stem, subtitle[1].strip() if subtitle else ""


def to_html(notebook: Path, *, title: str) -> str:
    """The notebook as one page that asks for nothing from the network."""
    import nbformat
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    content = nbformat.read(notebook, as_version=4)
    content.metadata.title = title
    # Where images are embedded, every piece of HTML is closed by itself, and answers that were folded away stand open. A comment
    # is left as it is.
    for cell in content.cells:
        if cell.cell_type == "markdown":
            cell.source = FOLDS.sub(r"<!--\g<0>-->", cell.source)
    exporter = HTMLExporter(
        extra_loaders=[DictLoader({"offline.html.j2": OFFLINE_TEMPLATE})],
        template_file="offline.html.j2",
        embed_images=True,
        config=Config({"NbConvertBase": {"display_data_priority": TEXT_BEFORE_WIDGETS}}),
    )
    page = exporter.from_notebook_node(content, resources={"metadata": {"path": str(notebook.parent)}})[0]
    page = re.sub(rf"<!--({FOLDS.pattern})-->", r"\1", page)
    return re.sub(r"&lt;!--(&lt;/?(?:details|summary)\b.*?&gt;)--&gt;", r"\1", page)  # told of in code


def _run(
    notebook: Path, executed: Path, parameters: dict[str, Any], *, cwd: Path, timeout: int, label: str
) -> tuple[str, dict[str, Any] | None]:
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill import PapermillExecutionError, execute_notebook

    place = {"cell": 0, "source": "", "section": ""}
    told = ""

    def note(cell: Any, cell_index: int) -> None:
        nonlocal told
        if cell.cell_type == "code" and cell.source.strip():
            place.update(cell=place["cell"] + 1, source=cell.source.strip().splitlines()[0])
            if told != place["section"]:  # a section without code, such as the exercises, is not worth a line
                told = place["section"]
                print(f"{label} · {told}", flush=True)
        elif heading := re.match(r"## +(.+)", cell.source):
            place["section"] = heading[1].strip()

    retried = False
    while True:
        try:
            execute_notebook(
                notebook,
                executed,
                parameters,
                kernel_name="python3",
                progress_bar=False,
                start_timeout=START_TIMEOUT,
                execution_timeout=timeout or None,
                cwd=cwd,
                on_cell_start=note,
            )
            return "ok", None
        except PapermillExecutionError as error:
            return "failed", _error(error.ename, error.evalue, place)
        except CellTimeoutError:
            message = f"The cell took longer than {timeout} s. Give more with --timeout SECONDS (0: no limit)."
            return "timed out", _error("Timeout", message, place)
        except RuntimeError as error:
            # Kernels that start together can pick the same port, and one of them dies: try it once more.
            if place["cell"] == 0 and not retried:
                retried = True
                continue
            if not isinstance(error, DeadKernelError):
                return "failed", _error("Kernel", str(error), place)
            message = "The kernel died. Mostly that means: out of memory. Try smaller sizes or fewer --cores."
            return "failed", _error("Kernel", message, place)


def _error(name: str, message: str, place: dict[str, Any]) -> dict[str, Any]:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", message)  # IPython colours some messages
    return {"name": name, "message": plain[:MESSAGE_LENGTH], **place}


def _prepare_environment(folder: str, threads: str | int | None) -> None:
    """Lets kernels run on this very interpreter, with this package, free of the user's own Jupyter and IPython set-up."""
    from ipykernel.kernelspec import write_kernel_spec

    write_kernel_spec(Path(folder) / "kernels" / "python3")
    package = str(Path(__file__).resolve().parent.parent)
    for name, first in {"JUPYTER_PATH": folder, "PYTHONPATH": package}.items():
        os.environ[name] = os.pathsep.join(filter(None, [first, os.environ.get(name)]))
    os.environ |= {"IPYTHONDIR": folder, "JUPYTER_RUNTIME_DIR": folder}
    # Threads that wait by spinning take the core from a neighbour that works: measured 3 times slower on 2 shared cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Snakemake sets these to the rule's threads, which count how many jobs fit side by side, not how many a job may use.
    for name in SET_BY_SNAKEMAKE:
        os.environ.pop(name, None)
    if threads:
        os.environ |= {"OMP_NUM_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads)}


def main(arguments: list[str]) -> int:
    """0 where the job ``RULE`` of ``PLAN`` (the two arguments) ran well, 1 where it did not."""
    plan_path, rule = arguments
    plan = read_json(plan_path)
    job = next(job for job in plan["jobs"] if job["rule"] == rule)
    folder = Path(plan["out"]) / job["folder"]
    text = Path(job["parameters"]).read_text("utf-8")
    parameters = yaml.safe_load(text) or {}
    if job["run_dir"]:
        parameters["run_dir"] = job["run_dir"]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the kernel is shut down on the way out
    with tempfile.TemporaryDirectory(prefix="bioutils-") as private:
        _prepare_environment(private, job["omp_threads"])
        print(f"{job['folder']} · started", flush=True)
        with atomic_writer(folder / "parameters.yaml") as stream:
            stream.write(text)
        status = execute(
            Path(job["notebook"]),
            folder,
            parameters,
            cwd=Path(plan["cwd"]),  # where the user stands: relative paths among the parameters start there
            timeout=plan["timeout"],
            label=job["folder"],
        )
    missing = [made for made in job["makes"] if not (Path(plan["out"]) / made).exists()]
    if status["state"] == "ok" and missing:
        message = f"It ended well but did not write {', '.join(missing)}, which other notebooks need."
        status |= {"state": "failed", "error": {"name": "Missing file", "message": message}}
        write_json(folder / "status.json", status)
    if status["state"] == "ok":
        (folder / ".done").touch()
    print(f"{job['folder']} · {status['state']}, {status['seconds']:.0f} s", flush=True)
    return 0 if status["state"] == "ok" else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BioutilsError as error:
        print(error, flush=True)  # stdout reaches the user, stderr the log
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
