"""The Gene Ontology from an OBO file: a graph of terms, and a table with one definition a row.

Format: OBO 1.2 and 1.4 (https://owlcollab.github.io/oboformat/doc/obo-syntax.html), read by obonet.
"""

import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from bioutils.errors import DataError, UsageError, expected
from bioutils.files import read_lines

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd

ASPECTS = ("biological_process", "cellular_component", "molecular_function")
MAX_OFFENDERS = 10  # shown in one message; the rest are counted
BATCH = 2000  # stanzas given to obonet at a time: while it works it holds each twice, and a new string for every tag

HEADER = re.compile(r"format-version:|[a-z-]+: ")
STANZAS = ("[Term]", "[Typedef]", "[Instance]")
ONCE = ("id", "name", "namespace", "def")  # a second one in a term means that a [Term] line is lost
GO_ID = re.compile(r"GO:\d{7}")
DEFINITION = re.compile(r'"((?:[^"\\]|\\.)*)"')
SYNONYM = re.compile(r'"((?:[^"\\]|\\.)*)"\s+(EXACT|BROAD|NARROW|RELATED)')
BARE_MARK = re.compile(r"(?<!\\)!")
ESCAPE = re.compile(r"\\(.)")
ESCAPED = {"n": "\n", "t": "\t", "W": " "}

Numbered = list[tuple[int, str]]  # line numbers with lines, or with what is wrong there


def read_graph(path: Path | str) -> "nx.MultiDiGraph":
    """The live GO terms of an OBO file (plain or gzipped) with their edges, child → parent, keyed by relation.

    ``graph.graph`` holds the header, with ``data-version`` (None where there is none), and counts of what is left out:
    ``n_obsolete`` terms, ``n_foreign`` terms of other ontologies, ``n_stubs`` GO ids that are named but not described,
    ``n_lost_is_a`` is_a edges from live terms to any of these.
    Raises DataError, with line and term, for what is no OBO file, breaks the format, or has no aspect.
    """
    import networkx as nx

    graph, edges = nx.MultiDiGraph(typedefs=[], instances=[]), []
    obsolete, named, n_foreign = set(), set(), 0
    where: dict[str, int] = {}
    offenders: Numbered = []
    for part in _parts(path, where, offenders):
        for kind in ("typedefs", "instances"):
            graph.graph[kind] += part.graph.pop(kind)
        graph.graph.update(part.graph)  # the header, in the first part
        default = (graph.graph.get("default-namespace") or [None])[0]
        for node, data in part.nodes(data=True):
            if "name" not in data:  # named by an edge; another part may describe it
                named.add(node)
            elif not node.startswith("GO:"):
                n_foreign += 1
            elif _is_obsolete(data):
                obsolete.add(node)
            else:
                aspect = data.setdefault("namespace", default)
                if aspect not in ASPECTS:
                    problem = expected(f"namespace of {node}", "an aspect", aspect, available=ASPECTS)
                    offenders.append((where[node], problem))
                # Interned: the same forty tags and ids in every term would else take a third of the memory.
                graph.add_node(sys.intern(node), **{sys.intern(tag): value for tag, value in data.items()})
        edges += [tuple(map(sys.intern, edge)) for edge in part.edges(keys=True)]
    _report(offenders, path)
    n_lost = 0
    for child, parent, relation in edges:
        if child in graph and parent in graph:
            graph.add_edge(child, parent, key=relation)
        else:
            n_lost += child in graph and relation == "is_a"
    graph.graph |= {
        "data-version": graph.graph.get("data-version"),
        "n_obsolete": len(obsolete),
        "n_foreign": n_foreign,
        "n_stubs": sum(node.startswith("GO:") and node not in graph and node not in obsolete for node in named),
        "n_lost_is_a": n_lost,
        "path": str(path),
    }
    if not where:
        raise DataError("Expected [Term] stanzas, found none. Is the file cut short? Fetch it again.", path=path)
    if not len(graph):
        raise DataError("Expected live GO terms, found none. Is this another ontology?", path=path)
    if not any("def" in data for _, data in graph.nodes(data=True)):
        raise DataError("Expected terms with definitions (def:), found none. Take a release that has them.", path=path)
    return graph


def _is_obsolete(data: dict) -> bool:
    return str(data.get("is_obsolete", "")).lower() == "true" or data.get("namespace") == "obsolete"


def _parts(path: Path | str, where: dict[str, int], offenders: Numbered) -> Iterator["nx.MultiDiGraph"]:
    """obonet's graphs of BATCH stanzas each. Fills ``where`` (term id → its line) and ``offenders``."""
    import obonet

    stanzas = (_checked(stanza, where, offenders) for stanza in _stanzas(path))
    while batch := list(islice(stanzas, BATCH)):
        with _quiet():
            part = obonet.read_obo(nullcontext(line for stanza in batch for line in stanza), ignore_obsolete=False)
        yield part


@contextmanager
def _quiet() -> Iterator[None]:
    """obonet warns on the root logger where the header names no ontology, which no reader of ours needs."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _stanzas(path: Path | str) -> Iterator[Numbered]:
    """The lines of the header, then of each stanza. Blank lines and comments mean nothing, wherever they stand.

    (obonet takes what follows a blank line inside a stanza for a new header.)
    """
    stanza: Numbered = []
    for number, line in read_lines(path):
        if not line.strip() or line.startswith("!"):
            continue
        if not stanza and not line.startswith("[") and not HEADER.match(line):
            raise DataError(f"Not an OBO file: it begins with {line[:40]!r}. Fetch it again.", path=path, line=number)
        if line.startswith("[") and stanza:
            yield stanza
            stanza = []
        stanza.append((number, line))
    yield stanza


def _checked(stanza: Numbered, where: dict[str, int], offenders: Numbered) -> list[str]:
    """The stanza's lines as obonet takes them, a blank one first; none when the stanza adds to ``offenders``."""
    begin, kind = stanza[0] if stanza else (0, "")
    body = stanza[1:] if kind.startswith("[") else stanza
    lines = [line for _, line in stanza]
    problems = [(number, f"no `tag: value`: {line[:40]!r}") for number, line in body if line.find(":") < 1]
    if kind.startswith("[") and not kind.startswith(STANZAS):
        problems.append((begin, f"none of {', '.join(STANZAS)}: {kind[:40]!r}"))
    if kind.startswith("[Term]") and not problems:
        lines, problems = _checked_term(begin, body, where)
    offenders += problems
    return [] if problems else ["", *lines]


def _checked_term(begin: int, body: Numbered, where: dict[str, int]) -> tuple[list[str], Numbered]:
    """The lines of a term for obonet, and what is wrong with them. Notes the term's id in ``where``."""
    lines, problems, seen = ["[Term]"], [], {}
    for number, line in body:
        tag, _, value = line.partition(":")
        if tag in FORMS:
            usable = FORMS[tag](value.strip())
            if usable is None:
                problems.append((number, f"broken `{tag}:` in the term of line {begin}: {line[:60]!r}"))
            elif tag in ONCE and tag in seen:
                problems.append((number, f"a second `{tag}:` in the term of line {begin}. Is a [Term] line lost?"))
            seen[tag], line = usable, f"{tag}: {usable}"
        lines.append(line)
    if problems:
        return lines, problems
    key = seen.get("id")
    if key is None:
        problems.append((begin, "a term without an id"))
    elif key in where:
        problems.append((begin, f"the id {key} was defined before, in line {where[key]}"))
    elif "def" in seen and "name" not in seen:
        problems.append((begin, f"the term {key} has a definition and no name"))
    else:
        where[sys.intern(key)] = begin
    return lines, problems


def _ids(pattern: str) -> Callable[[str], str | None]:
    """A function: the words of a value that has as many as the pattern, no GO id among them cut short; else None."""
    form = re.compile(pattern + r"(?:\s+[{!].*)?")  # a trailing modifier, a comment

    def usable(value: str) -> str | None:
        match = form.fullmatch(value)
        if match is None or any(key.startswith("GO:") and not GO_ID.fullmatch(key) for key in match.groups()):
            return None
        return " ".join(match.groups())

    return usable


def _quoted(value: str) -> str | None:
    """A definition whose quotes close, its bare "!" escaped: obonet would end the text there, as if at a comment."""
    return BARE_MARK.sub(r"\\!", value) if DEFINITION.match(value) else None


# What a term's values must look like: each gives the value as obonet reads it rightly, or None.
FORMS = {
    "id": _ids(r"(\S+)"),
    "is_a": _ids(r"(\S+)"),
    "relationship": _ids(r"(\S+)\s+(\S+)"),
    "def": _quoted,
    "name": lambda value: value or None,
    "namespace": lambda value: value or None,
}


def _report(offenders: Numbered, path: Path | str) -> None:
    if offenders:
        (line, problem), *others = sorted(offenders)
        shown = [problem, *(f"{path}:{number}: {other}" for number, other in others[: MAX_OFFENDERS - 1])]
        if len(offenders) > MAX_OFFENDERS:
            shown.append(f"… and {len(offenders) - MAX_OFFENDERS} more")
        raise DataError("\n".join([*shown, "Mend these lines or fetch the file again."]), path=path, line=line)


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


def name_table(graph: "nx.MultiDiGraph") -> "pd.DataFrame":
    """One row a name or synonym of a live term: ``go_id, aspect, kind, text``.

    ``kind`` is "name", or a synonym's scope (exact, broad, narrow, related). A synonym equal to the name, but for case, is
    left out.
    """
    import pandas as pd

    rows = []
    for node, data in graph.nodes(data=True):
        rows.append((node, data["namespace"], "name", data["name"]))
        for value in data.get("synonym", ()):
            match = SYNONYM.match(value)
            text = ESCAPE.sub(lambda m: ESCAPED.get(m[1], m[1]), match[1]).strip() if match else ""
            if text and text.lower() != data["name"].lower():
                rows.append((node, data["namespace"], match[2].lower(), text))
    return pd.DataFrame(rows, columns=["go_id", "aspect", "kind", "text"])
