"""An ontology of 47,000 terms to a table: from one list of rows, against filling a DataFrame row by row with ``.loc``.

The plain way is quadratic, so it is timed on growing slices and extrapolated by a fit of a + b·n + c·n² (its table only;
parsing is the same for both and given apart, the last ratio counts it in). Ours is timed in a process of its own, for its
memory. The file has as many synonyms a term as the real one, for memory goes there as well.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from common import arguments, definitions, machine

SLICES = (500, 1000, 2000, 3000, 4000)
CHILD = """
import sys, time
from common import peak_memory
from bioutils.corpora import obo
start = time.perf_counter()
graph = obo.read_graph(sys.argv[1])
parsed = time.perf_counter()
table = obo.term_table(graph)
print(parsed - start, time.perf_counter() - parsed, len(table), peak_memory())
"""


def write_ontology(path: Path, n: int) -> None:
    """``n`` terms with real or sample definitions, each under one or two earlier ones."""
    texts = definitions(n)
    with path.open("w", encoding="utf-8") as stream:
        stream.write("format-version: 1.2\ndata-version: benchmark\n")
        for i, text in enumerate(texts):
            escaped = text.replace("\\", "\\\\").replace('"', '\\"')
            stream.write(f"\n[Term]\nid: GO:{i:07d}\nname: term {i}\nnamespace: biological_process\n")
            stream.write(f'def: "{escaped}" [GOC:benchmark, PMID:{i}]\n')
            for j in range(i % 6):  # 2.5 a term; the real file has 2.6
                stream.write(f'synonym: "another name of the term {i} {j}" EXACT [GOC:benchmark]\n')
            for parent in {i // 3, i // 5} - {i}:
                stream.write(f"is_a: GO:{parent:07d} ! term {parent}\n")


def row_by_row(graph, n: int) -> float:
    """Seconds to fill a table of the first ``n`` terms one row at a time."""
    import pandas as pd

    start = time.perf_counter()
    table = pd.DataFrame(columns=["go_id", "name", "aspect", "definition", "def_word_count"])
    for i, (go_id, data) in enumerate(graph.nodes(data=True)):
        if i == n:
            break
        text = data["def"].split('"', maxsplit=2)[1]
        table.loc[i] = [go_id, data["name"], data["namespace"], text, len(re.findall(r"\w+", text))]
    return time.perf_counter() - start


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--terms", type=int, default=47_000)
    call = parser.parse_args()
    from bioutils.corpora import obo

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "go.obo"
        write_ontology(path, call.terms)
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
        runs = [
            [float(x) for x in subprocess.run(
                [sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True, check=True, env=environment
            ).stdout.split()]
            for _ in range(call.repeats)
        ]  # fmt: skip
        graph = obo.read_graph(path)
    parse, build, n, memory = np.median(runs, axis=0)
    seconds = [row_by_row(graph, size) for size in SLICES]
    plain = float(np.polyval(np.polyfit(SLICES, seconds, 2), n))
    fit = ", ".join(f"{size}: {value:.1f}" for size, value in zip(SLICES, seconds, strict=True))
    print(f"OBO to table, {n:,.0f} terms ({machine()})")
    print("| way | table, s | parsing, s | ratio of the table | ratio with parsing | peak memory of the process, MB |")
    print("|---|---|---|---|---|---|")
    print(f"| `.loc` row by row, extrapolated from {fit} | {plain:.0f} | {parse:.2f} | 1 | 1 | not measured |")
    whole = (plain + parse) / (build + parse)
    print(f"| `term_table` | {build:.2f} | {parse:.2f} | {plain / build:.0f} | {whole:.0f} | {memory:.0f} |")


if __name__ == "__main__":
    main()
