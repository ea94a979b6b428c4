"""The Gene Ontology from an OBO file: a graph of terms, and a table with one definition a row.

Format: OBO 1.2 and 1.4 (https://owlcollab.github.io/oboformat/doc/obo-syntax.html), read by obonet.
"""

import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bioutils.errors import DataError, UsageError, expected
from bioutils.files import open_bytes, read_lines, reading

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd

ASPECTS = ("biological_process", "cellular_component", "molecular_function")
MAX_OFFENDERS = 10  # shown in one message; the rest are counted

DEFINITION = re.compile(r'"((?:[^"\\]|\\.)*)"')
ESCAPE = re.compile(r"\\(.)")
ESCAPED = {"n": "\n", "t": "\t", "W": " "}


def read_graph(path: Path | str) -> "nx.MultiDiGraph":
    """The live GO terms of an OBO file (plain or gzipped) with their edges, child → parent, keyed by relation.

    ``graph.graph`` holds ``data-version`` (None where the header has none), ``n_obsolete`` (terms left out),
    ``n_foreign`` (terms of other ontologies, left out) and ``n_stubs`` (ids that edges name but no stanza defines).
    Raises DataError, with line and term, for what is no OBO file, breaks the format, or has no aspect.
    """
    import obonet

    where = _checked_lines(path)
    with reading(path), io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig") as stream, _quiet():
        try:
            everything = obonet.read_obo(stream, ignore_obsolete=False)
        except ValueError as error:  # obonet's own, for a line it cannot take apart
            raise DataError(f"Not valid OBO: {error}. Fetch the file again.", path=path) from None
    default = (everything.graph.get("default-namespace") or [None])[0]
    stubs = [n for n, data in everything.nodes(data=True) if "name" not in data]
    foreign = [n for n, data in everything.nodes(data=True) if "name" in data and not n.startswith("GO:")]
    obsolete = [n for n, d in everything.nodes(data=True) if n.startswith("GO:") and _is_obsolete(d)]
    everything.remove_nodes_from({*stubs, *foreign, *obsolete})
    for _, data in everything.nodes(data=True):
        data.setdefault("namespace", default)
    _check_terms(everything, where, path)
    version = everything.graph.get("data-version")
    everything.graph |= {
        "data-version": version[0] if isinstance(version, list) else version,
        "n_obsolete": len(obsolete),
        "n_foreign": len(foreign),
        "n_stubs": len([n for n in stubs if n.startswith("GO:")]),
        "path": str(path),
    }
    return everything


def _is_obsolete(data: dict) -> bool:
    return str(data.get("is_obsolete", "")).lower() == "true" or data.get("namespace") == "obsolete"


@contextmanager
def _quiet() -> Iterator[None]:
    """obonet warns on the root logger where the header names no ontology, which no reader of ours needs."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _checked_lines(path: Path | str) -> dict[str, int]:
    """The line of each stanza's id, after a look at what obonet would report without a line number."""
    where: dict[str, int] = {}
    offenders: list[str] = []
    begun = has_terms = False
    for number, line in read_lines(path):
        if not begun and line.strip():
            begun = True
            if not re.match(r"format-version:|\[Term\]|[a-z-]+: ", line):
                raise DataError(
                    f"Not an OBO file: it begins with {line[:40]!r}. Fetch it again.", path=path, line=number
                )
        if line.startswith("id: "):
            key = line[4:].split("!")[0].strip()
            if key in where:
                offenders.append(f"{path}:{number}: the id {key} was defined before, in line {where[key]}")
            where.setdefault(key, number)
        elif line.startswith("[Term]"):
            has_terms = True
        elif line and not line.startswith(("[", "!", " ")) and ":" not in line:
            offenders.append(f"{path}:{number}: no `tag: value`: {line[:40]!r}")
    if not has_terms:
        raise DataError("Expected [Term] stanzas, found none. Is the file cut short? Fetch it again.", path=path)
    _report(offenders)
    return where


def _check_terms(graph: "nx.MultiDiGraph", where: dict[str, int], path: Path | str) -> None:
    """Every live term needs one of the three aspects, and at least one of them all a definition."""
    _report(
        [
            f"{path}:{where.get(node)}: " + expected(f"namespace of {node}", "an aspect", namespace, available=ASPECTS)
            for node, namespace in graph.nodes(data="namespace")
            if namespace not in ASPECTS
        ]
    )
    if len(graph) == 0:
        raise DataError("Expected live GO terms, found none. Is this another ontology?", path=path)
    if not any("def" in data for _, data in graph.nodes(data=True)):
        raise DataError("Expected terms with definitions (def:), found none. Take a release that has them.", path=path)


def _report(offenders: list[str]) -> None:
    if offenders:
        more = f"\n… and {len(offenders) - MAX_OFFENDERS} more" if len(offenders) > MAX_OFFENDERS else ""
        raise DataError("\n".join(offenders[:MAX_OFFENDERS]) + more + "\nMend these lines or fetch the file again.")


def definition_text(value: str) -> str | None:
    """The text of a ``def:`` value: unescaped, without its quotes and its reference list.

    >>> definition_text('"The \\\\"hot\\\\" one." [GOC:x]')
    'The "hot" one.'
    """
    match = DEFINITION.match(value)
    return ESCAPE.sub(lambda m: ESCAPED.get(m[1], m[1]), match[1]).strip() if match else None


def is_a_graph(graph: "nx.MultiDiGraph") -> "nx.DiGraph":
    """The ``is_a`` edges alone, child → parent: a closure over all relations would leave the aspect."""
    import networkx as nx

    is_a = nx.DiGraph()
    is_a.add_nodes_from(graph)
    is_a.add_edges_from((child, parent) for child, parent, key in graph.edges(keys=True) if key == "is_a")
    return is_a


def _depths(graph: "nx.MultiDiGraph", parents: dict[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    """Shortest ``is_a`` distance to a term without parents, and number of children. Raises DataError on a cycle.

    Kahn's order with plain dictionaries: a second graph object would take more memory than the table.
    """
    import networkx as nx

    children: dict[str, list[str]] = {}
    for child, parent, key in graph.edges(keys=True):
        if key == "is_a":
            children.setdefault(parent, []).append(child)
    waiting = dict(parents)
    ready = [node for node, count in parents.items() if count == 0]
    depth = dict.fromkeys(ready, 0)
    for node in ready:  # grows while it is read
        for child in children.get(node, ()):
            depth[child] = min(depth.get(child, depth[node] + 1), depth[node] + 1)
            waiting[child] -= 1
            if waiting[child] == 0:
                ready.append(child)
    if len(ready) < len(parents):
        cycle = " → ".join(child for child, _ in nx.find_cycle(is_a_graph(graph)))
        raise DataError(
            f"The is_a edges run in a circle: {cycle}. Mend one of these terms.", path=graph.graph.get("path")
        )
    return depth, {node: len(found) for node, found in children.items()}


def broader_terms(graph: "nx.MultiDiGraph", go_id: str) -> set[str]:
    """All terms above ``go_id`` by ``is_a``. Raises UsageError for an id that is not in the graph."""
    import networkx as nx

    if go_id not in graph:
        raise UsageError(expected("term", "a live GO id of this file", go_id, available=sorted(graph)[:5]))
    return nx.descendants(is_a_graph(graph), go_id)  # edges run child → parent


def term_table(graph: "nx.MultiDiGraph") -> "pd.DataFrame":
    """One row a defined term: ``go_id, name, aspect, definition, def_word_count, depth, n_parents, n_children``.

    Words are matches of ``\\w+``. ``depth`` is the length of the shortest ``is_a`` path to a term without parents.
    ``attrs["n_undefined"]`` counts live terms without a definition, which have no row.
    """
    import pandas as pd

    n_parents = dict.fromkeys(graph, 0)
    for child, _, key in graph.edges(keys=True):
        n_parents[child] += key == "is_a"
    depth, n_children = _depths(graph, n_parents)
    word = re.compile(r"\w+")
    rows = []
    for node, data in graph.nodes(data=True):
        text = definition_text(data["def"]) if "def" in data else None
        if text:
            rows.append(
                (
                    node, data["name"], data["namespace"], text, len(word.findall(text)),
                    depth[node], n_parents[node], n_children.get(node, 0),
                )
            )  # fmt: skip
    columns = ["go_id", "name", "aspect", "definition", "def_word_count", "depth", "n_parents", "n_children"]
    table = pd.DataFrame(rows, columns=columns)
    table.attrs["n_undefined"] = len(graph) - len(table)
    return table
