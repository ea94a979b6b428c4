"""The page of a run: ``index.html``, which opens with no network and can be shown to a class.

It is made from the files the notebooks left (status, config, env, metrics, figures), so it can be made again at any time.
"""

import base64
import io
import re
import statistics
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bioutils import __version__
from bioutils.errors import DataError, UsageError, expected
from bioutils.files import atomic_writer, read_json
from bioutils.pages import render

MAIN_METRICS = 8  # numbers shown at once; the others are folded away
THUMBNAIL = (640, 480)  # pixels at most: twice what the page shows, for dense screens
OWN_FILES = {"status.json", "config.json", "env.json", "metrics.json", "parameters.yaml"}
SPELLING = {"f1": "F1", "auc": "AUC", "roc": "ROC", "tfidf": "TF-IDF", "go": "GO", "n": "number of"}


def make_report(run_dir: Path) -> Path:
    """The path of ``run_dir/index.html``, written from every notebook's folder found there (and in grid points).

    Raises UsageError where there is none. What is broken in a notebook's own files is said on its card.
    """
    run_dir = Path(run_dir)
    entries = [_entry(folder, run_dir) for folder in _folders(run_dir)]
    if not entries:
        raise UsageError(expected("RUN", "a folder that `bioutils run` wrote", str(run_dir)))
    names = sorted({entry["name"] for entry in entries})
    notebooks = [_notebook([entry for entry in entries if entry["name"] == name]) for name in names]
    page = render(
        "report.html.j2",
        duration=format_seconds,
        title=run_dir.resolve().name,
        made=datetime.now().astimezone().strftime("%-d %B %Y, %H:%M %Z"),
        facts=_facts(entries),
        versions=entries[-1]["env"] | {"bioutils": __version__},
        notebooks=notebooks,
        main=MAIN_METRICS,
        entries=entries,
        seconds=sum(entry["seconds"] for entry in entries),
    )
    with atomic_writer(run_dir / "index.html") as stream:
        stream.write(page)
    return run_dir / "index.html"


def _folders(run_dir: Path) -> list[Path]:
    """The notebooks' folders, of the run and of its grid points: the suite leaves a status there, a notebook its env."""
    depths, files = ("*", "*/*"), ("status.json", "env.json")
    found = {path.parent for depth in depths for file in files for path in run_dir.glob(f"{depth}/{file}")}
    return sorted(found, key=lambda folder: (folder.name, _natural(folder.parent.name)))


def _natural(text: str) -> list[tuple[float, str]]:
    """A sort key in which seed=10 comes after seed=9."""
    return [(float(part), "") if part.isdigit() else (-1.0, part) for part in re.split(r"(\d+)", text)]


def _entry(folder: Path, run_dir: Path) -> dict[str, Any]:
    """What the page says of one notebook at one grid point."""
    problems: list[str] = []

    def read(name: str) -> dict[str, Any]:
        try:
            value = read_json(folder / name) if (folder / name).exists() else {}
        except DataError as error:
            problems.append(str(error))
            return {}
        return value if isinstance(value, dict) else {}

    status, point = read("status.json"), folder.parent.relative_to(run_dir)
    error = status.get("error")
    captions = read("figures/captions.json")
    page = folder / f"{folder.name}.html"
    metrics, figures = read("metrics.json"), sorted(folder.glob("figures/*.png"))
    if status.get("state") == "not run":
        metrics, figures = {}, []  # what lies there is of an earlier run
    return {
        "id": re.sub(r"\W", "-", str(folder.relative_to(run_dir))),
        "name": folder.name,
        "title": status.get("title", folder.name),
        "subtitle": status.get("subtitle", ""),
        "point": "" if point == Path() else point.as_posix(),
        "state": status.get("state", "run by hand"),
        "started": status.get("started", ""),
        "seconds": float(status.get("seconds") or metrics.get("seconds", 0)),
        "error": error if isinstance(error, dict) else None,
        "config": read("config.json"),
        "env": read("env.json"),
        "metrics": join_intervals(metrics),
        "figures": [_figure(path, captions.get(path.stem, ""), run_dir) for path in figures],
        "page": _link(page, run_dir) if page.exists() else None,
        "files": [_link(path, run_dir) for path in sorted(folder.iterdir()) if _is_result(path, page)],
        "problems": problems,
    }


def _is_result(path: Path, page: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and path.name not in OWN_FILES and path != page


def _link(path: Path, run_dir: Path) -> dict[str, str]:
    size = path.stat().st_size
    shown = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3))} kB"
    return {"name": path.name, "href": quote(path.relative_to(run_dir).as_posix()), "size": shown}


def _figure(path: Path, caption: str, run_dir: Path) -> dict[str, Any]:
    """The link, the caption and the reduced image of a figure; no image where the file is damaged."""
    from PIL import Image

    figure: dict[str, Any] = _link(path, run_dir) | {"caption": caption or path.stem.replace("_", " "), "image": ""}
    try:
        with Image.open(path, formats=["PNG"]) as image:
            small = image.convert("RGBA")
        small.thumbnail(THUMBNAIL)
        paper = Image.new("RGB", small.size, "white")  # a transparent figure would vanish on a dark page
        paper.paste(small, mask=small.getchannel("A"))
    except (OSError, ValueError, Image.DecompressionBombError):
        return figure
    buffer = io.BytesIO()
    paper.save(buffer, "WEBP", quality=85)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return figure | {"image": f"data:image/webp;base64,{data}", "width": paper.width, "height": paper.height}


def _notebook(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """A notebook's entries and, where it ran at several grid points, what differs between them and what does not."""
    rows = [{metric["name"]: metric for metric in entry["metrics"][:MAIN_METRICS]} for entry in entries]
    columns = {
        name: [row[name] for row in rows if name in row] for name in dict.fromkeys(n for row in rows for n in row)
    }
    several = len(entries) > 1
    differing = [name for name, column in columns.items() if several and len({str(m["value"]) for m in column}) > 1]
    same = [f"{name} {column[0]['text']}" for name, column in columns.items() if several and name not in differing]
    spread = {name: mean_and_deviation(metric["value"] for metric in columns[name]) for name in differing}
    described = next((entry for entry in entries if entry["subtitle"]), entries[0])
    head = {name: described[name] for name in ("name", "title", "subtitle")}
    return head | {"entries": entries, "rows": rows, "differing": differing, "same": same, "spread": spread}


def _facts(entries: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What the notebooks share: profile, encoder, seeds, data version, each with all the values met."""
    facts = []
    names = {"profile": "Profile", "encoder": "Encoder", "seed": "Seed", "data_version": "Data version"}
    for name, label in names.items():
        values = {str(entry["config"][name]): None for entry in entries if entry["config"].get(name, "") != ""}
        if values:
            facts.append((label + ("s" if name == "seed" and len(values) > 1 else ""), ", ".join(values)))
    started = sorted(entry["started"] for entry in entries if entry["started"])
    if started:
        facts.append(("Run", datetime.fromisoformat(started[-1]).astimezone().strftime("%-d %B %Y, %H:%M")))
    return facts


def join_intervals(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """The metrics (name, value, text, interval), those with an interval first; ``x_low`` and ``x_high`` join ``x``.

    ``seconds`` is left out: the page says it elsewhere.

    >>> join_intervals({"macro_f1": 0.93, "macro_f1_low": 0.9, "macro_f1_high": 0.954})
    [{'name': 'macro F1', 'value': 0.93, 'text': '0.930', 'interval': '(0.900–0.954)'}]
    """
    joined = []
    for name, value in metrics.items():
        base = re.sub(r"_(low|high)$", "", name)
        if name == "seconds" or (base != name and {base, f"{base}_low", f"{base}_high"} <= set(metrics)):
            continue
        text, interval = format_number(value), ""
        if {f"{name}_low", f"{name}_high"} <= set(metrics):
            interval = f"({format_number(metrics[f'{name}_low'])}–{format_number(metrics[f'{name}_high'])})"
        label = " ".join(SPELLING.get(word, word) for word in name.split("_"))
        joined.append({"name": label, "value": value, "text": text, "interval": interval})
    return sorted(joined, key=lambda metric: not metric["interval"])  # what has an interval is what the lesson is about


def mean_and_deviation(values: Iterable[Any]) -> str:
    """Mean ± sample standard deviation, or nothing for fewer than two numbers.

    >>> mean_and_deviation([0.98, 0.99, 0.985])
    '0.985 ± 0.005'
    """
    numbers = [value for value in values if isinstance(value, (int, float))]
    if len(numbers) < 2:
        return ""
    return f"{format_number(float(statistics.fmean(numbers)))} ± {format_number(float(statistics.stdev(numbers)))}"


def format_number(value: Any) -> str:
    """A number to read: whole ones with separators, others with three decimals or as many digits as say something.

    >>> [format_number(v) for v in (28470, 0.9861, 162.5, 18.0, 0.00005, 0.0)]
    ['28,470', '0.986', '162.5', '18', '5.0e-05', '0.000']
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if value and abs(value) < 0.0005:
        return f"{value:.1e}"
    if abs(value) < 10:
        return f"{value:.3f}"
    return f"{value:,.0f}" if value.is_integer() else f"{value:,.1f}"


def format_seconds(seconds: float) -> str:
    """
    A duration to read.

    >>> [format_seconds(s) for s in (4.4, 133, 7500)]
    ['4 s', '2 min 13 s', '2 h 5 min']
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
