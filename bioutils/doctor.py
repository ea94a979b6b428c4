"""What this machine has: versions, device, encoders and corpora at hand. ``python -m bioutils.doctor`` prints it."""

import os
import shutil
import sys

from bioutils.corpora import CORPORA, find_root
from bioutils.device import bf16_speedup, choose_device
from bioutils.encoders import ENCODERS, is_cached
from bioutils.errors import BioutilsError
from bioutils.runs import environment


def findings() -> list[tuple[str, str]]:
    """Pairs (what, finding). Takes about five seconds: torch is imported and one product is timed."""
    import torch

    env = environment()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    speedup = bf16_speedup()
    rows = [(name, str(value)) for name, value in env.items() if name not in ("threads", "cuda")]
    rows += [
        ("device", f"{choose_device()}" + ("" if env["cuda"] == "none" else f" ({env['cuda']})")),
        ("cores, torch threads", f"{cores}, {torch.get_num_threads()}"),
        ("bfloat16", f"{speedup:.1f}× float32 in a matrix product: " + ("used" if speedup >= 1.3 else "not used")),
        ("free disk here", f"{shutil.disk_usage('.').free / 1e9:.0f} GB"),
    ]
    for name, encoder in ENCODERS.items():
        try:
            state = "at hand" if is_cached(name) else "from the hub, on first use"
        except BioutilsError as error:
            state = f"broken: {error}"
        rows.append((f"encoder {name}", f"{state} · {encoder.note}"))
    for name in CORPORA:
        places = []
        for label, sample in (("full", False), ("sample", True)):
            try:
                places.append(f"{label}: {find_root(name, sample=sample)}")
            except BioutilsError:
                places.append(f"{label}: not here")
        rows.append((f"corpus {name}", " · ".join(places)))
    return rows


def main() -> int:
    """Prints the findings; exit code 0."""
    rows = findings()
    width = max(len(what) for what, _ in rows)
    for what, finding in rows:
        print(f"{what:{width}}  {finding}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
