"""What the benchmarks share: sentences to work on, a table row, the machine's description."""

import argparse
import json
import os
import platform
import re
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

TRIALS = "trials.jsonl"


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser with the options common to all benchmarks."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="timings of each way, taken in turn; the median counts")
    return parser


def read_trials(record: Path) -> list[dict]:
    """The lines of a record of trials, none where there is no file. Raises DataError with the line that is cut."""
    from bioutils.errors import DataError

    found = []
    for number, line in enumerate(record.read_text(encoding="utf-8").splitlines() if record.is_file() else [], 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            row = error
        if not isinstance(row, dict):
            raise DataError("No whole trial. Remove the line: its trial is run again.", path=record, line=number)
        found.append(row)
    return found


def run_trials(
    call: argparse.Namespace,
    keys: Sequence[str],
    one: Callable[[argparse.Namespace, int], dict],
    *,
    shown: Sequence[str],
) -> None:
    """A line of JSON a seed of ``call.seeds`` into ``call.out``, ``keys`` first; trials that are there are not run again.

    Raises DataError for a line that is no trial.
    """
    call.out.mkdir(parents=True, exist_ok=True)
    record = call.out / TRIALS
    done = read_trials(record)
    for seed in map(int, call.seeds.split(",")):
        key = {name: getattr(call, name, None) for name in keys} | {"seed": seed}
        if any(all(row.get(name) == value for name, value in key.items()) for row in done):
            continue
        found = one(call, seed)
        ended = not record.is_file() or record.read_bytes()[-1:] in (b"", b"\n")
        with record.open("a") as stream:
            stream.write(("" if ended else "\n") + json.dumps(key | found) + "\n")
        print(json.dumps({name: key[name] for name in shown} | found), flush=True)


def machine() -> str:
    """Processor cores, system, torch and its threads: ratios travel between machines, seconds do not."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores {platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads"


def peak_memory() -> float:
    """The most memory this process has held, in MB. (``ru_maxrss`` would count the parent's, before the exec.)"""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS, in bytes


def in_turn(ways: dict[str, Callable[[], object]], *, repeats: int) -> dict[str, float]:
    """Median seconds of each way, run in turn A B A B … after one warm-up each, so that drift hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def definitions(n: int) -> list[str]:
    """``n`` definitions, of the real ontology where it is at hand, else of the sample, repeated as needed."""
    from bioutils.corpora import go_table
    from bioutils.errors import BioutilsError

    try:
        _, table = go_table()
    except BioutilsError:
        _, table = go_table(sample=True)
    texts = table["definition"].sample(frac=1, random_state=0).tolist()
    return (texts * (n // len(texts) + 1))[:n]
