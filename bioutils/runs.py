"""One folder a run: seed, versions, configuration, metrics, predictions, figures. What a notebook writes, it writes here."""

import contextlib
import html
import platform
import random
import time
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bioutils import __version__
from bioutils.errors import UsageError, expected
from bioutils.files import atomic_path, atomic_writer, read_json, write_json
from bioutils.run_records import RECORDS, add_record

if TYPE_CHECKING:
    import pandas as pd

VERSIONED = ("torch", "transformers", "datasets", "accelerate", "scikit-learn", "numpy", "pandas", "papermill")

# What every notebook means by these names. A notebook may leave some out; none may mean something else by them.
PARAMETERS: dict[str, tuple[type, Any, str]] = {
    "profile": (str, lambda v: v in ("quick", "full"), "'quick' or 'full'"),
    "data_root": (str, lambda v: True, "a folder, or '' to look in $BIOUTILS_DATA and data/raw"),
    "sample": (bool, lambda v: True, "True or False"),
    "encoder": (str, bool, "a short name, a folder or a hub id"),
    "seed": (int, lambda v: 0 <= v < 2**32, "a whole number, 0 or more"),
    "run_dir": (str, lambda v: True, "a folder, or '' for one under outputs/"),
    "split": (str, lambda v: v in ("random", "grouped", "published"), "'random', 'grouped' or 'published'"),
    "train_size": (int, lambda v: v >= 0, "a whole number; 0 = all"),
    "eval_size": (int, lambda v: v >= 0, "a whole number; 0 = all"),
    "max_length": (int, lambda v: v >= 4, "a number of tokens, 4 or more"),
    "epochs": (int, lambda v: v >= 1, "a whole number, 1 or more"),
    "batch_size": (int, lambda v: v >= 1, "a whole number, 1 or more"),
    "learning_rate": (float, lambda v: 0 < v < 1, "a number between 0 and 1"),
}


@dataclass
class Run:
    """The folder ``run_dir/NN_name`` and what is recorded in it."""

    name: str
    folder: Path
    seed: int
    parameters: dict[str, Any]
    started: float = field(default_factory=time.time)

    @property
    def model_dir(self) -> Path:
        """Where 03 saves its model and the later notebooks find it."""
        return self.folder.parent / "03_finetune_with_trainer" / "model"

    @property
    def records(self) -> Path:
        """The record of all runs: ``outputs/runs.jsonl``; beside the run's folder where it lies elsewhere."""
        outputs = project_root() / "outputs"
        inside = self.folder.resolve().is_relative_to(outputs.resolve())
        return (outputs if inside else self.folder.parent) / RECORDS

    def path(self, name: str) -> Path:
        """A path in the run's folder, its parent made. Raises UsageError for one that leads out of it."""
        path = self.folder / name
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise UsageError(expected("name", f"inside {self.folder}", name))
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def log(self, **metrics: float) -> None:
        """Adds numbers to ``metrics.json``; a name given again is replaced. Raises UsageError for what is no finite number."""
        for name, value in metrics.items():
            try:
                finite = not isinstance(value, str) and abs(float(value)) < float("inf")
            except (TypeError, ValueError):
                finite = False
            if not finite:
                raise UsageError(expected(f"metric {name}", "a finite number", value))
        path = self.folder / "metrics.json"
        known = read_json(path) if path.exists() else {}
        plain = {k: v.item() if hasattr(v, "item") else v for k, v in metrics.items()}
        write_json(path, known | {k: int(v) if isinstance(v, bool) else v for k, v in plain.items()})

    def note(self, **facts: Any) -> None:
        """Adds facts found on the way, such as the data's version, to ``config.json``."""
        write_json(self.folder / "config.json", read_json(self.folder / "config.json") | facts)

    def save_predictions(self, table: "pd.DataFrame") -> Path:
        """Writes ``predictions.parquet``, one row an example."""
        with atomic_path(self.path("predictions.parquet")) as temporary:
            table.to_parquet(temporary, index=False)
        return self.folder / "predictions.parquet"

    def save_figure(self, drawn: Any, name: str, caption: str = "") -> None:
        """Writes ``figures/name.png`` (an Axes, an array of them or a Figure) and its caption for the report."""
        axes = getattr(drawn, "flat", [drawn])[0]
        figure = getattr(axes, "figure", axes) or axes
        with atomic_path(self.path(f"figures/{name}.png")) as temporary:
            figure.savefig(temporary, dpi=150, bbox_inches="tight")
        captions = self.path("figures/captions.json")
        write_json(captions, (read_json(captions) if captions.exists() else {}) | {name: caption})

    def save_html(self, name: str, html: str) -> Path:
        """Writes an interactive page, ``name.html``."""
        with atomic_writer(self.path(f"{name}.html")) as stream:
            stream.write(html)
        return self.folder / f"{name}.html"

    def finished(self) -> "pd.DataFrame":
        """The files this run wrote with their sizes; logs the seconds it took as ``seconds`` and adds its line to the record."""
        import pandas as pd

        self.log(seconds=round(time.time() - self.started, 1))
        metrics = read_json(self.folder / "metrics.json")
        add_record(self.records, name=self.name, folder=self.folder, parameters=self.parameters, scores=metrics)
        files = sorted(p for p in self.folder.rglob("*") if p.is_file() and not p.name.startswith("."))
        rows = [(p.relative_to(self.folder).as_posix(), round(p.stat().st_size / 1000, 1)) for p in files]
        return pd.DataFrame(rows, columns=["file", "kB"])


def frame(page: str, *, height: int = 600) -> Any:
    """A whole HTML page inside a notebook, in a frame of its own, so that neither's style reaches the other.

    The page travels in the notebook: it shows in JupyterLab, in a saved copy and in an export, wherever these lie.
    """
    from IPython.display import HTML

    inside = html.escape(page, quote=True)
    # Within a div, because IPython warns of a bare frame and proposes one that needs the file beside it.
    return HTML(
        f'<div><iframe srcdoc="{inside}" width="100%" height="{height}" style="border: 1px solid #ddd"></iframe></div>'
    )


def seed_everything(seed: int) -> None:
    """Seeds Python, numpy and torch (all devices)."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def environment() -> dict[str, str | int]:
    """Versions, processor and threads: what another person needs to see why numbers differ."""
    import torch

    versions = {}
    for package in VERSIONED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {
        "bioutils": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    } | versions


def check_parameters(parameters: dict[str, Any]) -> None:
    """Raises UsageError for the first parameter of a wrong type or out of range; names not in PARAMETERS are free."""
    for name, value in parameters.items():
        if name not in PARAMETERS:
            continue
        kind, fits, what = PARAMETERS[name]
        right = isinstance(value, (int, float) if kind is float else kind) and (
            kind is bool or not isinstance(value, bool)
        )
        if not right or not fits(value):
            raise UsageError(expected(name, what, value))


def project_root() -> Path:
    """The folder that holds ``notebooks/`` and ``data/``: the checkout, or the working folder where there is none."""
    checkout = Path(__file__).resolve().parent.parent
    return checkout if (checkout / "notebooks").is_dir() else Path.cwd()


def start_run(name: str, *, seed: int, run_dir: str = "", **parameters: Any) -> Run:
    """A fresh run under ``run_dir/name`` (``outputs/notebook/name`` where ``run_dir`` is empty).

    Checks the parameters, seeds every generator, clears what an earlier run of this notebook left there, writes
    ``config.json`` and ``env.json`` and prints a line. Raises UsageError on a bad parameter, before anything is written.
    """
    from datasets import disable_progress_bars

    parameters = {**parameters, "seed": seed, "run_dir": run_dir}
    check_parameters(parameters)
    folder = (Path(run_dir).expanduser() if run_dir else project_root() / "outputs" / "notebook") / name
    folder.mkdir(parents=True, exist_ok=True)
    for stale in [folder / "metrics.json", folder / "predictions.parquet", *(folder / "figures").glob("*")]:
        stale.unlink(missing_ok=True)  # else numbers of two runs would stand side by side
    seed_everything(seed)
    disable_progress_bars()  # in a saved notebook each would be a red line
    run = Run(name, folder, seed, parameters)
    env = environment()
    write_json(folder / "config.json", parameters)
    write_json(folder / "env.json", env)
    print(f"{name} · seed {seed} · {folder}")
    print(" · ".join(f"{package} {version}" for package, version in env.items()))
    return run
