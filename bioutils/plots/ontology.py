"""Pictures of the ontology's graph: its most connected terms, and all that stands above one term."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from bioutils.corpora.obo import broader_terms, is_a_graph
from bioutils.errors import UsageError, expected
from bioutils.plots.style import ASPECT_COLOURS, GREY, axes_or_new, readable

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.axes import Axes

NAMED = 40  # terms named in the picture of many; more would hide it
WRAP = 21  # characters a line; the longest single words of the ontology's names need about as many
BOX_WIDTH, GAP, BEND = 1.6, 0.2, 0.3  # inches: a box, the room between neighbours, the room for a passing line
LINE_HEIGHT, BETWEEN_ROWS = 0.145, 0.42  # inches: a line of text in a box, the room for arrows between two rows


def most_connected_terms(
    graph: "nx.MultiDiGraph",
    *,
    seed: int,
    min_degree: int = 20,
    limit: int = 300,
    title: str = "",
    ax: "Axes | None" = None,
) -> "Axes":
    """The ``limit`` most connected of the terms with more than ``min_degree`` edges, and the edges among them.

    A spring layout, the same for the same seed; area and opacity of a node grow with its degree (edges of any kind, in
    and out, also to terms not drawn). Names are written from the most connected term down wherever there is room.
    Raises UsageError when no term has so many edges.
    """
    import networkx as nx

    drawn = core(graph, min_degree=min_degree, limit=limit)
    places = nx.spring_layout(drawn, k=25 / len(drawn) ** 0.5, scale=10, iterations=500, seed=seed, method="force")
    size = np.array([graph.degree(node) for node in drawn])
    area = 1800 * size / size.max()  # points²: a node twice as connected has twice the area
    aspects = [graph.nodes[node]["namespace"] for node in drawn]
    ax = axes_or_new(ax, 10, 8.5)
    nx.draw_networkx_edges(drawn, places, ax=ax, edge_color=GREY, alpha=0.4, width=0.7)
    nx.draw_networkx_nodes(
        drawn,
        places,
        ax=ax,
        node_size=area,
        node_color=[ASPECT_COLOURS[aspect] for aspect in aspects],
        alpha=np.clip(size / size.max(), 0.25, 0.9),
    )
    for aspect in sorted(set(aspects)):
        ax.scatter([], [], color=ASPECT_COLOURS[aspect], s=60, label=readable(aspect))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3)
    counted = f"{len(drawn)} terms, {drawn.number_of_edges():,} pairs of them joined"
    ax.set_title(title or f"Which terms are most connected? ({counted})")
    ax.axis("off")
    ax.margins(0.08)
    radius = dict(zip(drawn, np.sqrt(area / np.pi), strict=True))  # points
    _name_where_room(ax, [(places[node], radius[node], graph.nodes[node]["name"]) for node in drawn])
    return ax


def core(graph: "nx.MultiDiGraph", *, min_degree: int, limit: int) -> "nx.Graph":
    """The ``limit`` most connected terms of degree above ``min_degree``, most connected first, and the pairs joined by an edge.

    The order of the nodes is part of the promise: a layout starts from it, and that of a networkx view is a set's.
    """
    import networkx as nx

    degrees = {node: degree for node, degree in graph.degree() if degree > min_degree}
    if not degrees:
        highest = max((degree for _, degree in graph.degree()), default=0)
        raise UsageError(expected("min_degree", f"below the highest degree, {highest}", min_degree))
    found = nx.Graph()  # one line a pair, however many relations join it
    found.add_nodes_from(sorted(degrees, key=lambda node: (-degrees[node], node))[:limit])
    found.add_edges_from(graph.subgraph(found).edges())
    return found


def _wrapped(name: str, max_lines: int | None = None) -> str:
    return fill(readable(name), WRAP, break_long_words=False, max_lines=max_lines, placeholder=" …")


def _name_where_room(ax: "Axes", names: Sequence[tuple[np.ndarray, float, str]]) -> None:
    """Writes at most NAMED names, each under its node (place, radius), leaving out those that would touch an earlier one."""
    from matplotlib.patheffects import withStroke

    ax.figure.draw_without_rendering()  # where a text ends is known only once the layout has been made
    taken = []
    for place, radius, name in names:
        if len(taken) == NAMED:
            break
        below = {"xytext": (0, -radius), "textcoords": "offset points", "ha": "center", "va": "top"}
        text = ax.annotate(_wrapped(name, max_lines=3), place, **below, fontsize=8, linespacing=0.95)
        text.set_path_effects([withStroke(linewidth=2, foreground="white", alpha=0.8)])
        box = text.get_window_extent().padded(4)
        if any(box.overlaps(other) for other in taken):
            text.remove()
        else:
            taken.append(box)


def ancestry(graph: "nx.MultiDiGraph", go_id: str, *, title: str = "", ax: "Axes | None" = None) -> "Axes":
    """A term and all that stands above it: the broadest on top, an arrow from each term to each of its ``is_a`` parents.

    A term's row is its longest way from the top, so every arrow points up. Raises UsageError for an id not in the graph.
    """
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
    from matplotlib.path import Path

    rows, links = layers(is_a_graph(graph).subgraph({go_id} | broader_terms(graph, go_id)))
    x = positions(rows, links)
    names = {node: _wrapped(graph.nodes[node]["name"]) for row in rows for node in row if node in graph}
    heights = [LINE_HEIGHT * (max(names.get(n, "").count("\n") for n in row) + 2.2) for row in rows]
    top = np.cumsum([0, *(height + BETWEEN_ROWS for height in heights)])  # inches from the top edge, downwards
    width = max(x.values()) + BOX_WIDTH / 2 + GAP
    ax = axes_or_new(ax, max(4.5, width), top[-1] + 0.2)
    for chain in links:
        # From the child's upper edge, through each row between, to the parent's lower edge; upright at every stop.
        depth = next(i for i, row in enumerate(rows) if chain[0] in row)
        points, codes = [(x[chain[0]], top[depth])], [Path.MOVETO]
        for step, node in enumerate(chain[1:], 1):
            lower, upper = top[depth - step + 1], top[depth - step] + heights[depth - step]
            middle = (lower + upper) / 2
            points += [(points[-1][0], middle), (x[node], middle), (x[node], upper)]
            codes += [Path.CURVE4] * 3
            if step < len(chain) - 1:
                points, codes = [*points, (x[node], top[depth - step])], [*codes, Path.LINETO]
        arrow = FancyArrowPatch(path=Path(points, codes), arrowstyle="-|>", mutation_scale=9, color=GREY, linewidth=0.9)
        ax.add_patch(arrow)
    for row, y, height in zip(rows, top, heights, strict=False):
        for node in (node for node in row if node in names):
            colour = ASPECT_COLOURS[graph.nodes[node]["namespace"]]
            ax.add_patch(
                FancyBboxPatch(
                    (x[node] - BOX_WIDTH / 2, y),
                    BOX_WIDTH,
                    height,
                    boxstyle="round,pad=0,rounding_size=0.06",
                    facecolor=(colour, 0.55 if node == go_id else 0.13),
                    edgecolor=colour,
                )
            )
            ax.text(x[node], y + height / 2, names[node], ha="center", va="center", fontsize=8, linespacing=1.05)
    ax.set(xlim=(0, width), ylim=(top[-1] - BETWEEN_ROWS + 0.05, -0.05))
    ax.set_title(title or f"What is {readable(graph.nodes[go_id]['name'])} a kind of?")
    ax.axis("off")
    return ax


def layers(family: "nx.DiGraph") -> tuple[list[list[Hashable]], list[list[Hashable]]]:
    """Rows of nodes from the top down, and each edge as the chain of nodes it passes, child first, a row a step.

    Where an edge skips rows, a stand-in (child, parent, row) keeps its place there free. Rows are ordered so that few
    edges cross: each node goes to the mean place of its neighbours in the row before, downwards and upwards in turn
    (the barycentre method of Sugiyama, Tagawa and Toda 1981).
    """
    import networkx as nx

    generations = list(nx.topological_generations(family.reverse(copy=False)))
    depth = {node: i for i, row in enumerate(generations) for node in row}
    for node in generations[0]:  # a term whose parents are not in the file stands right above its children
        depth[node] = min((depth[child] for child in family.predecessors(node)), default=1) - 1
    rows: list[list[Any]] = [sorted(n for n in depth if depth[n] == i) for i in range(len(generations))]
    chains = []
    for child, parent in sorted(family.edges):
        stand_ins = [(child, parent, i) for i in range(depth[child] - 1, depth[parent], -1)]
        for stand_in in stand_ins:
            rows[stand_in[2]].append(stand_in)
        chains.append([child, *stand_ins, parent])
    above, below = _neighbours(chains)
    for sweep in range(12):  # settles within a few; the ontology's families are small
        down = sweep % 2 == 0
        for i in range(1, len(rows)) if down else range(len(rows) - 2, -1, -1):
            fixed, neighbours = rows[i - 1 if down else i + 1], above if down else below
            place = {node: (j + 0.5) / len(fixed) for j, node in enumerate(fixed)}
            wanted = {
                node: np.mean([place[m] for m in neighbours[node]] or [(j + 0.5) / len(rows[i])])
                for j, node in enumerate(rows[i])
            }
            rows[i].sort(key=wanted.__getitem__)
    return rows, chains


def _neighbours(chains: Sequence[Sequence[Hashable]]) -> tuple[dict, dict]:
    above, below = defaultdict(list), defaultdict(list)
    for chain in chains:
        for lower, upper in zip(chain, chain[1:], strict=False):
            above[lower].append(upper)
            below[upper].append(lower)
    return above, below


def positions(rows: list[list[Hashable]], chains: Sequence[Sequence[Hashable]]) -> dict[Hashable, float]:
    """The x (inches) of every node: near its neighbours' mean, in the row's order, and never on top of another.

    With the least distances taken off, "in order" is a rising sequence, and the nearest rising sequence to the wanted
    places is an isotonic regression.
    """
    from scipy.optimize import isotonic_regression

    above, below = _neighbours(chains)
    half = {node: (BEND if isinstance(node, tuple) else BOX_WIDTH + GAP) / 2 for row in rows for node in row}
    least = [np.cumsum([0, *(half[a] + half[b] for a, b in zip(row, row[1:], strict=False))]) for row in rows]
    x = {node: at - d[-1] / 2 for row, d in zip(rows, least, strict=True) for node, at in zip(row, d, strict=True)}
    for sweep in range(20):
        for i in range(len(rows)) if sweep % 2 else range(len(rows) - 1, -1, -1):
            wanted = [np.mean([x[m] for m in above[n] + below[n]] or [x[n]]) for n in rows[i]]
            x |= zip(rows[i], isotonic_regression(wanted - least[i]).x + least[i], strict=True)
    left = min(x[node] - half[node] for node in x)
    return {node: float(value - left) for node, value in x.items()}
