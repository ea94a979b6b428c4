import numpy as np
import pytest

from bioutils import plots
from bioutils.corpora.records import Span
from bioutils.corpora.relations import Example, examples, read_relations
from bioutils.encoders import load_tokenizer
from bioutils.errors import UsageError
from bioutils.exploration import (
    centred_distance,
    cluster_distance,
    corpus_distances,
    corpus_vocabulary,
    entity_distances,
    token_table,
    top_words,
    top_words_by_label,
    vocabulary_jaccard,
)


def example(text: str, first: tuple[int, int], second: tuple[int, int], label: str = "x") -> Example:
    spans = [Span(f"T{i}", "A", (p,), text[p[0] : p[1]]) for i, p in enumerate((first, second))]
    return Example("e", "g", text, *spans, label)


def test_top_words_by_hand():
    found = top_words(["Zinc blocks the zinc-finger of PKC.", "Zinc 42 and PKC's x"], n=3)
    assert list(found.items()) == [("pkc", 2), ("zinc", 2), ("blocks", 1)]
    assert "zinc" not in top_words(["Zinc binds"], leave_out=["zinc"])


def test_words_of_a_label_leave_the_corpus_own_out():
    found = [example(f"w{'abcdefghijklmnopqrstuvwxyz'[i]} common", (0, 2), (3, 9), "xy"[i % 2]) for i in range(24)]
    words = top_words_by_label(found, ["x", "y", "z"], n=5)
    assert set(words) == {"x", "y"}, "a label without examples has no words"
    assert all("common" not in w for w in words.values())


def test_distances_by_offsets():
    text = "PKC and PKC block zinc"
    rows = [example(text, (8, 11), (18, 22)), example(text, (18, 22), (0, 3)), example(text, (0, 11), (8, 11))]
    assert entity_distances(rows)["words"].tolist() == [1, 3, 0]


def test_tokens_of_several_vocabularies(encoder_dir):
    texts = ["growth of cells", "zinc binds membrane lipids"] * 20
    own = corpus_vocabulary(texts, size=60)
    table = token_table(texts, {"tiny": load_tokenizer(str(encoder_dir)), "own": own})
    assert table["words"].tolist()[:2] == [3, 4]
    assert table["tiny"].tolist()[:2] == [3, 4]
    assert (table["own"] >= table["words"]).all()


def test_cluster_distance_is_the_earlier_measure():
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(60, 4)), rng.normal(size=(60, 4)) + 5
    found = cluster_distance(first, second)
    one, other = (KMeans(7, n_init=10, random_state=0).fit(v).cluster_centers_ for v in (first, second))
    middle = (one.min(0) + one.max(0)) / 2
    radius = np.sqrt(((middle - one.min(0)) ** 2).sum())
    total = 0.0
    for centre in other:
        distance = np.sqrt(((centre - middle) ** 2).sum())
        total += 0 if distance < radius else distance
    assert found == pytest.approx(total / 7)
    assert cluster_distance(first, first * 0.1) == 0, "whatever lies within the box is at no distance"
    assert cluster_distance(first * 0.1, first) != cluster_distance(first, first * 0.1)
    with pytest.raises(UsageError, match="7 or more, one a cluster"):
        cluster_distance(first[:5], second)


def test_the_other_measures_are_symmetric():
    rng = np.random.default_rng(1)
    vectors = {name: rng.normal(size=(20, 6)) + shift for name, shift in (("a", 0), ("b", 1), ("c", -2))}
    texts = {"a": ["zinc binds"], "b": ["zinc blocks"], "c": ["iron rusts"]}
    tables = corpus_distances(vectors, texts)
    for kind in ("centred", "jaccard"):
        table = tables[kind].to_numpy()
        assert np.allclose(table, table.T)
        assert np.allclose(np.diag(table), 0)
    assert tables["jaccard"].loc["a", "b"] == pytest.approx(2 / 3)
    assert tables["jaccard"].loc["a", "c"] == 1
    assert vocabulary_jaccard(["the zinc"], ["zinc of"]) == 1
    assert centred_distance(np.ones((3, 2)), -np.ones((3, 2))) == pytest.approx(2)


def test_figures_of_corpora():
    found = examples(read_relations("pgxcorpus", sample=True).documents)
    words = top_words_by_label(found, sorted({e.label for e in found}), n=4)
    grid = plots.word_bars(words, title="Words")
    assert [ax.get_title(loc="left") for ax in grid.flat if ax.get_visible()] == list(words)
    assert len(grid.flat[0].patches) == 4
    table = token_table(["one two three", "four five"], {})
    assert plots.length_lines(table.assign(own=[4, 3])).get_legend_handles_labels()[1][0] == "own (1.40 tokens a word)"
    tables = corpus_distances(
        {n: np.random.default_rng(0).normal(size=(9, 3)) for n in "ab"}, {"a": ["x y"], "b": ["x z"]}
    )
    axes = plots.distance_heatmaps(tables, titles={"cluster": "C"})
    assert [ax.get_title(loc="left") for ax in axes] == ["C", "centred", "jaccard"]


def test_figures_of_runs():
    import pandas as pd

    scores = {"one (macro)": np.random.default_rng(0).random((3, 2)), "two": np.array([[0.5, 0.5]])}
    ax = plots.score_boxes(scores, ["precision", "recall"])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["one\n(macro)", "two"]
    assert sum(len(c.get_offsets()) for c in ax.collections) == 8, "each repeat is a point"
    history = pd.DataFrame({"epoch": [1, 2, 1, 2], "validation_accuracy": [0.1, 0.2, 0.3, 0.6]})
    line = plots.run_curves({"CNN": history}, "validation_accuracy").get_lines()[0]
    assert line.get_ydata().tolist() == pytest.approx([0.2, 0.4])
    bars = plots.missed_by([0, 0, 2, 1], 2).patches
    assert [bar.get_height() for bar in bars] == [2, 1, 1]
    with pytest.raises(UsageError, match="one or more"):
        plots.score_boxes({}, ["f"])
