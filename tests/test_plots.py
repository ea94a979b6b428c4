import subprocess
import sys

import matplotlib as mpl
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

mpl.use("agg")

import matplotlib.pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.transforms import Bbox

from bioutils import plots
from bioutils.errors import UsageError
from bioutils.plots.ontology import BOX_WIDTH, core, layers, positions

ASPECTS = list(plots.ASPECT_COLOURS)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def heights(ax):
    return [round(bar.get_height(), 9) for bar in ax.patches]


def labels(ax):
    return [text.get_text() for text in ax.texts]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# counts and lengths


def test_counts_bar_labels_count_and_share():
    ax = plots.counts_bar(pd.Series({"biological_process": 3000, "other": 1000}), unit="terms")
    assert [bar.get_width() for bar in ax.patches] == [3000, 1000]
    assert labels(ax) == ["3,000 (75.0%)", "1,000 (25.0%)"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["biological process", "other"]
    assert ax.get_xlabel() == "number of terms"
    assert to_hex(ax.patches[0].get_facecolor()).upper() == plots.ASPECT_COLOURS["biological_process"]


def test_draws_into_the_axes_given():
    ours = plots.new_axes(4, 4)[0]
    assert plots.counts_bar({"a": 1}, ax=ours) is ours
    assert len(plt.get_fignums()) == 1


def test_aspect_pie_scales_shares_to_one():
    ax = plots.aspect_pie({"biological_process": 0.4, "cellular_component": 0.4, "molecular_function": 0.0})
    assert labels(ax) == ["biological process\n50.0%", "cellular component\n50.0%", "molecular function\n0.0%"]


@pytest.mark.parametrize("shares", [{}, {"a": 0.0}, {"a": -1.0, "b": 2.0}, {"a": float("nan")}])
def test_aspect_pie_refuses_what_is_no_share(shares):
    with pytest.raises(UsageError, match="Expected shares"):
        plots.aspect_pie(shares)


def test_boxes_name_each_group_with_its_size_and_median():
    ax = plots.word_count_boxes([1, 2, 9, 4], ["b", "b", "b", "a"])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a\n(n = 1)", "b\n(n = 3)"]
    assert labels(ax) == ["4", "2"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "the first group stands on top"


def test_length_histogram_counts_every_row_and_its_density_has_the_same_area():
    lengths = np.random.default_rng(0).normal(100, 10, 500).round()
    ax = plots.length_histogram(lengths, bins=20)
    assert sum(heights(ax)[:20]) == 500
    curve = next(line for line in ax.lines if line.get_label() == "density")
    bin_width = ax.patches[0].get_width()
    assert np.trapezoid(curve.get_ydata(), curve.get_xdata()) == pytest.approx(500 * bin_width, rel=0.02)


def test_length_histogram_of_equal_lengths_has_no_density():
    assert "density" not in legend(plots.length_histogram([7, 7, 7]))


def test_token_lengths_says_how_much_is_cut():
    # Limit 10: two of four texts are cut, and 5 + 15 of 60 tokens are lost.
    ax = plots.token_lengths([10, 10, 15, 25], max_length=10)
    assert legend(ax)[:2] == ["kept whole: 50.0% of texts", "cut: 50.0% of texts, 33.3% of all tokens lost"]


@given(st.lists(st.integers(2, 300), min_size=1, max_size=30), st.integers(4, 128))
@settings(max_examples=20, deadline=None)
def test_token_lengths_draws_every_text_on_its_side_of_the_limit(lengths, max_length):
    ax = plots.token_lengths(lengths, max_length=max_length)
    kept = sum(bar.get_height() for bar in ax.patches if bar.get_x() + bar.get_width() <= max_length + 0.5)
    assert kept == sum(length <= max_length for length in lengths)
    assert sum(heights(ax)) == len(lengths)
    plt.close(ax.figure)


@pytest.mark.parametrize("draw", [plots.length_histogram, lambda v: plots.token_lengths(v, max_length=10)])
def test_nothing_to_draw_is_an_error(draw):
    with pytest.raises(UsageError, match="Expected lengths to be at least one value"):
        draw([])


# words


def test_word_cloud_reads_every_text_to_its_end(monkeypatch):
    import wordcloud

    seen = []
    monkeypatch.setattr(wordcloud.WordCloud, "generate", lambda self, text: seen.append(text) or generate(self, text))
    generate = wordcloud.WordCloud.generate_from_text
    far = "binding " * 20 + "zymogen"  # the last word stands far beyond the 50 characters that to_string keeps
    plots.word_cloud(pd.Series([far, "kinase"]), seed=0)
    assert seen == [far + " kinase"]


def test_word_cloud_is_the_same_for_the_same_seed():
    texts = ["membrane vesicle transport", "kinase binding of the membrane"]
    pictures = [np.asarray(plots.word_cloud(texts, seed=seed).images[0].get_array()) for seed in (1, 1, 2)]
    assert (pictures[0] == pictures[1]).all()
    assert (pictures[0] != pictures[2]).any()


def test_word_cloud_of_one_colour_is_on_white():
    picture = np.asarray(plots.word_cloud(["kinase"], seed=0, colour="#0072B2").images[0].get_array())
    assert picture[0, 0].tolist() == [255, 255, 255]
    assert (picture.reshape(-1, 3).min(0) == [0x00, 0x72, 0xB2]).all()


def test_word_cloud_without_words_is_an_error():
    with pytest.raises(UsageError, match="some words"):
        plots.word_cloud(["the binding of the"], seed=0, drop=["Binding"])


# scores


def test_confusion_is_shaded_by_row():
    ax = plots.confusion_heatmap(np.array([[3, 1], [0, 0]]), ["a", "b"])
    assert np.asarray(ax.collections[0].get_array()).reshape(2, 2).tolist() == [[0.75, 0.25], [0, 0]]
    assert labels(ax) == ["3\n75.0%", "1\n25.0%", "0\n0.0%", "0\n0.0%"]
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("true", "predicted")
    with pytest.raises(UsageError, match=r"of shape \(3, 3\)"):
        plots.confusion_heatmap(np.eye(2), ["a", "b", "c"])


def test_learning_curves_are_two_panels():
    history = pd.DataFrame(
        {"epoch": [1, 2], "train_loss": [0.9, 0.4], "validation_loss": [0.8, 0.5], "validation_macro_f1": [0.7, 0.8]}
    )
    loss, score = plots.learning_curves(history, best_epoch=2)
    assert loss.figure is score.figure
    assert [line.get_ydata()[-1] for line in loss.lines[:2]] == [0.4, 0.5]
    assert score.lines[0].get_ydata().tolist() == [0.7, 0.8]
    assert legend(score) == ["validation", "kept: epoch 2"]


def metrics(value):
    return {"accuracy": value, "accuracy_low": value - 0.1, "accuracy_high": value + 0.05}


def test_interval_bars_write_value_and_interval_of_each_model():
    ax = plots.interval_bars({"encoder": metrics(0.9), "baseline": metrics(0.8)}, metrics=["accuracy"])
    assert labels(ax) == ["0.900 [0.800, 0.950]", "0.800 [0.700, 0.850]"]
    assert legend(ax) == ["encoder", "baseline"]
    assert len({round(text.get_position()[1], 6) for text in ax.texts}) == 2, "one above the other"


def test_stacked_bars_put_like_beside_like():
    # Main aspects: b (0.6), a (0.5), a (0.9): first those of a, the purest first.
    table = pd.DataFrame({"id": ["x", "y", "z"], "a": [0.4, 0.5, 0.9], "b": [0.6, 0.5, 0.1]})
    ax = plots.stacked_aspect_bars(table, ["a", "b"])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["z", "y", "x"]
    assert [round(bar.get_width(), 9) for bar in ax.patches] == [0.9, 0.5, 0.4, 0.1, 0.5, 0.6]
    assert [round(bar.get_x() + bar.get_width(), 9) for bar in ax.patches[3:]] == [1, 1, 1]


def test_many_stacked_bars_are_not_named():
    table = pd.DataFrame({"id": range(61), "a": 0.5, "b": 0.5})
    assert plots.stacked_aspect_bars(table, ["a", "b"]).get_yticklabels() == []


# the ontology: edges run child → parent


def graph_of(edges, key="is_a"):
    graph = nx.MultiDiGraph()
    graph.add_edges_from((child, parent, key) for child, parent in edges)
    for node in graph:
        graph.nodes[node].update(name=f"the term called {node}", namespace="biological_process")
    return graph


DIAMOND = [("leaf", "left"), ("leaf", "right"), ("left", "root"), ("right", "root"), ("leaf", "root")]


def test_core_keeps_the_most_connected_first():
    graph = graph_of([("a", "hub"), ("b", "hub"), ("c", "hub"), ("a", "b")])
    found = core(graph, min_degree=1, limit=2)
    assert list(found) == ["hub", "a"]  # degrees 3, 2, 2; equals go by id
    assert list(found.edges) == [("hub", "a")]
    with pytest.raises(UsageError, match="below the highest degree, 3"):
        core(graph, min_degree=3, limit=2)


def test_layout_does_not_depend_on_the_hash_seed():
    code = (
        "import networkx as nx; from bioutils.plots.ontology import core\n"
        "g = nx.MultiDiGraph([(f'n{i}', f'n{i // 2}') for i in range(1, 40)])\n"
        "print(list(core(g, min_degree=1, limit=15)))"
    )
    printed = {
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": h}, capture_output=True, check=True).stdout
        for h in ("1", "2")
    }
    assert len(printed) == 1


def test_most_connected_terms_names_do_not_touch():
    graph = graph_of([(f"n{i}", f"n{i // 3}") for i in range(1, 60)])
    ax = plots.most_connected_terms(graph, seed=3, min_degree=1)
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) > 3
    assert not any(Bbox.intersection(a, b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_ancestry_draws_all_broader_terms_and_no_other():
    ax = plots.ancestry(graph_of([*DIAMOND, ("other", "root")]), "leaf")
    assert sorted(label.replace("\n", " ") for label in labels(ax)) == [
        f"the term called {node}" for node in ("leaf", "left", "right", "root")
    ]
    with pytest.raises(UsageError, match="Expected term"):
        plots.ancestry(graph_of(DIAMOND), "GO:0000000")


def test_ancestry_leaves_other_relations_out():
    graph = graph_of(DIAMOND)
    graph.add_node("whole", name="whole", namespace="cellular_component")
    graph.add_edge("leaf", "whole", "part_of")
    assert "whole" not in labels(plots.ancestry(graph, "leaf"))


def test_ancestry_names_fit_their_boxes():
    graph = graph_of(DIAMOND)
    graph.nodes["left"]["name"] = "negative regulation of transforming growth factor beta receptor signaling pathway"
    ax = plots.ancestry(graph, "leaf")
    ax.figure.draw_without_rendering()
    boxes = [patch.get_window_extent() for patch in ax.patches[5:]]  # after the arrows of the five edges
    for text, box in zip(ax.texts, boxes, strict=True):
        inside = text.get_window_extent()
        assert box.x0 <= inside.x0
        assert inside.x1 <= box.x1
        assert box.y0 <= inside.y0
        assert inside.y1 <= box.y1


def test_layers_of_a_diamond_with_a_shortcut():
    rows, chains = layers(nx.DiGraph(DIAMOND))
    stand_in = ("leaf", "root", 1)  # keeps room for the line from leaf to root beside left and right
    assert [set(row) for row in rows] == [{"root"}, {"left", "right", stand_in}, {"leaf"}]
    assert ["leaf", stand_in, "root"] in chains


def test_a_term_without_its_parents_stands_right_above_its_child():
    rows, _ = layers(nx.DiGraph([("leaf", "middle"), ("middle", "root"), ("leaf", "orphan")]))
    assert [sorted(row) for row in rows] == [["root"], ["middle", "orphan"], ["leaf"]]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40))
@settings(max_examples=50, deadline=None)
def test_arrows_point_up_and_boxes_do_not_overlap(pairs):
    family = nx.DiGraph([(child, parent) for child, parent in pairs if child > parent])  # so without circles
    family.add_node(0)
    rows, chains = layers(family)
    depth = {node: i for i, row in enumerate(rows) for node in row}
    assert set(family) == {node for node in depth if not isinstance(node, tuple)}
    assert {(chain[0], chain[-1]) for chain in chains} == set(family.edges)
    for chain in chains:
        assert [depth[node] for node in chain] == list(range(depth[chain[0]], depth[chain[-1]] - 1, -1))
    x = positions(rows, chains)
    for row in rows:
        places = [x[node] for node in row if node in family]
        assert all(b - a > BOX_WIDTH for a, b in zip(places, places[1:], strict=False))


def test_importing_plots_does_not_import_matplotlib():
    code = "import sys, bioutils.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_range_test_curve_marks_the_suggestion():
    table = pd.DataFrame({"learning_rate": [1e-4, 1e-3, 1e-2], "loss": [1.0, 0.5, 9], "smoothed": [1.0, 0.8, 3]})
    ax = plots.range_test_curve(table, 1e-3)
    assert ax.get_xscale() == "log"
    marked = next(line for line in ax.lines if line.get_marker() == "D")
    assert marked.get_xdata()[0] == 1e-3
    assert float(np.ravel(marked.get_ydata())[0]) == pytest.approx(0.8)
    assert "steepest fall: 1.0e-03" in legend(ax)
    assert not any("steepest" in text for text in legend(plots.range_test_curve(table)))


def test_scores_by_size_draws_a_line_and_a_band_a_model():
    rows = [
        {"model": m, "n_train": n, "accuracy": a, "accuracy_low": a - 0.1, "accuracy_high": a + 0.1}
        for m, n, a in (("x", 64, 0.8), ("x", 16, 0.6), ("y", 16, 0.5))
    ]
    ax = plots.scores_by_size(pd.DataFrame(rows))
    assert [line.get_xdata().tolist() for line in ax.lines] == [[16, 64], [16]]
    assert len(ax.collections) == 2
    assert legend(ax) == ["x", "y"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["16", "64"]


def test_cost_against_score():
    report = {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95}
    ax = plots.cost_against_score({"x": report, "y": report}, {"x": 1.0, "y": 100.0})
    assert ax.get_xscale() == "log"
    assert legend(ax) == ["x", "y"]


def test_reliability_diagram_and_risk_curve():
    table = pd.DataFrame({"n": [1, 9], "confidence": [0.6, 0.95], "accuracy": [0.5, 1.0]})
    ax = plots.reliability_diagram({"before": table, "after": table})
    assert legend(ax) == ["confidence = accuracy", "before", "after"]
    assert ax.collections[0].get_offsets().tolist() == [[0.6, 0.5], [0.95, 1.0]]
    risks = pd.DataFrame({"threshold": [0.9, 0.7, 0.5], "coverage": [0.2, 0.6, 1.0], "risk": [0.0, 0.1, 0.2]})
    ax = plots.risk_coverage_curve(risks, threshold=0.7)
    assert "60.0% answered, 10.00% of them wrong" in legend(ax)[0]
    assert plots.risk_coverage_curve(risks, threshold=2.0).get_legend() is None
    with pytest.raises(UsageError, match="at least one"):
        plots.risk_coverage_curve(risks.head(0))


def test_ternary_corners_are_the_aspects():
    table = pd.DataFrame(np.eye(3), columns=ASPECTS)
    ax = plots.ternary(table, ASPECTS)
    points = ax.collections[-1].get_offsets()
    assert np.allclose(points, [[0.5, np.sqrt(0.75)], [0, 0], [1, 0]])
    assert [text.split("\n")[1] for text in labels(ax)] == ["33% of 3"] * 3
    with pytest.raises(UsageError, match="sum to 1"):
        plots.ternary(table * 2, ASPECTS)
    with pytest.raises(UsageError, match="three names"):
        plots.ternary(table, ASPECTS[:2])


def test_attention_figures():
    weights = np.array([[0.25, 0.75], [1, 0]])
    ax = plots.attention_heatmap(weights, ["a", "b"])
    assert ax.images[0].get_array().tolist() == weights.tolist()
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"]
    with pytest.raises(UsageError, match="shape"):
        plots.attention_heatmap(weights, ["a"])
    axes = plots.entropy_heatmaps({"before": np.zeros((2, 3)), "after": np.ones((2, 3))})
    assert [ax.get_title(loc="left") for ax in axes] == ["before", "after"]
    assert axes[0].images[0].get_clim() == (0, 1)


def test_attends_to_lines_are_means_over_heads():
    rows = [(0, 0, "CLS", 0.2), (0, 1, "CLS", 0.4), (1, 0, "CLS", 0.5), (0, 0, "next", 0.1), (1, 0, "next", 0.3)]
    table = pd.DataFrame(rows, columns=["layer", "head", "target", "share"])
    (ax,) = plots.attends_to_lines({"m": table})
    assert {line.get_label(): line.get_ydata().tolist() for line in ax.lines} == {
        "CLS": pytest.approx([0.3, 0.5]),
        "next": pytest.approx([0.1, 0.3]),
    }


def test_attribution_bars_take_their_sign_as_colour():
    first, second = plots.attribution_bars(["x", "y"], {"for": [1.0, -2.0], "rollout": [0.1, 0.2]})
    assert [bar.get_width() for bar in first.patches] == [1.0, -2.0]
    assert to_hex(first.patches[0].get_facecolor()) != to_hex(first.patches[1].get_facecolor())
    assert not any(t.get_text() for t in second.get_yticklabels())
    with pytest.raises(UsageError, match="one a word"):
        plots.attribution_bars(["x"], {"for": [1.0, 2.0]})


def test_map_frames_share_their_limits_and_ring_mistakes():
    points = np.arange(24, dtype=float).reshape(3, 4, 2)
    wrong = np.array([[False] * 4, [True, False, False, False], [False] * 4])
    axes = plots.map_frames({"PCA": points, "UMAP": points}, [0, 1, 2, 0], ASPECTS, wrong=wrong)
    assert axes.shape == (2, 3)
    assert len({ax.get_xlim() for ax in axes[0]}) == 1
    assert [ax.get_title() for ax in axes[0]] == ["", "", ""]
    assert [ax.get_title(loc="left") for ax in axes[0]] == ["before", "epoch 1", "epoch 2"]
    assert [len(ax.collections) for ax in axes[0]] == [3, 4, 3]
    assert [text.get_text() for text in axes[0, 0].figure.legends[0].get_texts()][-1] == "answered wrongly"
    with pytest.raises(UsageError, match="shape"):
        plots.map_frames({"PCA": points}, [0, 1], ASPECTS)


def test_epoch_lines_and_similarity():
    table = pd.DataFrame({"epoch": [0, 1], "silhouette": [0.1, 0.5]})
    ax = plots.epoch_lines(table, {"silhouette": "silhouette"})
    assert ax.lines[0].get_ydata().tolist() == [0.1, 0.5]
    ax = plots.similarity_heatmap(np.array([[1, 0.2], [0.2, 1]]))
    assert labels(ax) == ["1.00", "0.20", "0.20", "1.00"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["before", "1"]


# pre-training


def test_pretraining_curves_show_the_share_that_needs_no_knowledge():
    history = pd.DataFrame(
        {
            "step": [1, 2],
            "tokens": [1e6, 3e6],
            "generator_accuracy": [0.1, 0.3],
            "detection_auc": [0.5, 0.9],
            "detection_accuracy": [0.8, 0.95],
            "base_rate": [0.15, 0.1],
        }
    )
    left, right = plots.pretraining_curves(history)
    assert left.lines[0].get_xydata().tolist() == [[1, 0.1], [3, 0.3]]
    assert [line.get_label() for line in right.lines][:2] == ["AUC", "accuracy"]
    assert right.lines[2].get_ydata().tolist() == pytest.approx([0.85, 0.9])
    with pytest.raises(UsageError, match="history"):
        plots.pretraining_curves(history.head(0))


def test_judged_tokens_frame_what_was_replaced():
    table = pd.DataFrame(
        {"original": ["the", "cell"], "filled": ["the", "dog"], "replaced": [False, True], "probability": [0.1, 0.9]}
    )
    ax = plots.judged_tokens(table, width=1)
    assert labels(ax) == ["the", "dog", "was cell"]
    plain, framed = ax.patches
    assert to_hex(framed.get_edgecolor()) == "#000000"
    assert to_hex(plain.get_edgecolor()) == "#ffffff"
    assert sum(framed.get_facecolor()[:3]) < sum(plain.get_facecolor()[:3])
    assert framed.get_y() < plain.get_y()  # a line a token


def test_a_warm_start_is_shaded():
    history = pd.DataFrame(
        {
            "step": [1, 2, 3], "tokens": [1e6, 2e6, 3e6], "generator_accuracy": [0.1, 0.2, 0.3], "detection_auc": [0.5, 0.5, 0.7],
            "detection_accuracy": [0.5, 0.5, 0.9], "base_rate": [0.1, 0.1, 0.1], "train_filling_loss": [6, 5, np.nan],
        }
    )  # fmt: skip
    _, right = plots.pretraining_curves(history)
    [shade] = [p for p in right.patches if p.get_label() == "warm start: fills in"]
    assert shade.get_x() + shade.get_width() == 2


def test_downstream_points_leave_out_what_was_not_run():
    table = pd.DataFrame(
        [
            ("ncbi", "F1", "ours", 0.6, 0.5, 0.7),
            ("ncbi", "F1", "famous", 0.8, 0.8, 0.8),
            ("gad", "F1", "ours", 0.4, 0.4, 0.4),
        ],
        columns=["corpus", "metric", "encoder", "mean", "lowest", "highest"],
    )
    ax = plots.downstream_points(table)
    assert [t.get_text() for t in ax.texts] == ["0.600", "0.800", "0.400"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["ncbi\nF1", "gad\nF1"]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["ours", "famous"]
    few = plots.downstream_points(pd.concat([table.head(2), table.head(1).assign(train=1000)]))
    assert [t.get_text() for t in few.get_yticklabels()] == ["ncbi\nF1", "ncbi, 1,000 examples\nF1"]
    with pytest.raises(UsageError):
        plots.downstream_points(table.head(0))


def test_pieces_bars():
    ax = plots.pieces_bars({"own": {"p53": 1, "kinase": 1}, "general": {"p53": 2, "kinase": 3}})
    assert [bar.get_width() for bar in ax.patches] == [1, 1, 2, 3]
    assert legend(ax) == ["own", "general"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["p53", "kinase"]
