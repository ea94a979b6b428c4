import hashlib
import os

import numpy as np
import pytest

from bioutils import corpora
from bioutils.corpora import obo, splits
from bioutils.errors import DataError, UsageError

REAL = os.environ.get("BIOUTILS_DATA")
needs_real = pytest.mark.skipif(not REAL, reason="BIOUTILS_DATA names no folder with the real corpora")


def test_sample_is_as_large_as_promised():
    found = corpora.check("go", sample=True)
    assert found["terms"] >= 600
    assert all(found[aspect] >= 180 for aspect in obo.ASPECTS)
    assert found["is_a"] > found["terms"]
    assert found["n_obsolete"] == 3


def test_load_has_the_labels_in_order_and_no_row_twice():
    dataset = corpora.load("go", sample=True, seed=1)
    assert dataset["train"].features["label"].names == list(obo.ASPECTS)
    ids = [go_id for part in dataset.values() for go_id in part["go_id"][:]]
    assert len(ids) == len(set(ids)) == corpora.check("go", sample=True)["terms"]
    assert "sample/" in dataset["train"].info.description


def test_sizes_are_drawn_from_the_same_split():
    whole, small = (corpora.load("go", sample=True, train_size=n, eval_size=n) for n in (0, 30))
    for part in whole:
        assert small[part].num_rows == 30
        assert set(small[part]["go_id"][:]) <= set(whole[part]["go_id"][:])


def test_grouped_split_leaves_no_near_copy_in_training():
    dataset = corpora.load("go", sample=True, split="grouped")
    rows = [row for part in ("train", "test") for row in dataset[part]]
    groups = splits.near_copy_groups([r["name"] for r in rows], [r["text"] for r in rows])
    n = dataset["train"].num_rows
    assert not np.isin(groups[n:], groups[:n]).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"name": "gene-ontology"}, "Available: \\['go'"),
        ({"name": "abstract"}, "Did you mean 'abstracts'"),
        ({"name": "go", "split": "temporal"}, "'random', 'grouped'"),
        ({"name": "go", "train_size": 10**6}, "rows there are"),
        ({"name": "abstracts"}, "one with labels"),
    ],
)
def test_wrong_calls(call, message):
    with pytest.raises(UsageError, match=message):
        corpora.load(**call, sample=True)


def test_a_corpus_that_is_nowhere_says_how_to_get_it(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="bioutils data fetch go"):
        corpora.find_root("go", data_root=tmp_path)
    (tmp_path / "go").mkdir()
    with pytest.raises(DataError, match=r"go-basic\.obo"):
        corpora.find_file("go", data_root=tmp_path)
    with pytest.raises(DataError, match=r"Put abstracts\.xml or pubmed5\.xml under data/raw/abstracts"):
        corpora.find_root("abstracts", data_root=tmp_path)


def test_a_file_of_another_name_is_taken_when_it_is_the_only_one(tmp_path):
    folder = tmp_path / "go"
    folder.mkdir()
    for name in ("notes.txt", ".go-basic.partial.obo", "go-plus.obo.gz"):
        (folder / name).touch()
    assert corpora.find_file("go", data_root=tmp_path) == folder / "go-plus.obo.gz"
    (folder / "mine.obo").touch()
    with pytest.raises(UsageError, match=r"'go-plus\.obo\.gz', 'mine\.obo'.*Keep one"):
        corpora.find_file("go", data_root=tmp_path)
    (folder / "go.obo").touch()
    assert corpora.find_file("go", data_root=tmp_path) == folder / "go.obo"


def test_check_counts_what_has_no_row_and_what_has_two(tmp_path):
    path = tmp_path / "go.obo"
    term = "\n[Term]\nid: GO:000000{}\nname: n{}\nnamespace: cellular_component\n"
    path.write_text(
        "format-version: 1.2\n" + "".join(term.format(i, i) + d for i, d in enumerate(['def: "Same." []\n'] * 2 + [""]))
    )
    found = corpora.check("go", file=path)
    assert (found["terms"], found["n_undefined"], found["n_repeated_definitions"]) == (2, 1, 1)
    assert found["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_environment_comes_before_raw(tmp_path, monkeypatch):
    (tmp_path / "go").mkdir()
    monkeypatch.setenv("BIOUTILS_DATA", str(tmp_path))
    assert corpora.find_root("go") == tmp_path / "go"


@needs_real
def test_real_ontology_counts():
    found = corpora.check("go")
    assert (
        found
        | {
            "terms": 28470,
            "n_obsolete": 257,
            "biological_process": 19219,
            "molecular_function": 6788,
            "cellular_component": 2463,
            "is_a": 37994,  # with the 1,207 that lead to obsolete terms: 39,201 in the file
            "n_lost_is_a": 1207,
            "n_stubs": 0,
            "n_undefined": 0,
            "sha256": "a4fd026e09a60395af89cb3ffc850a874008b0fd1820ebdb85ebfa6b3598937e",
        }
        == found
    )


@needs_real
@pytest.mark.parametrize(("file", "terms"), [("goslim_generic.obo", 136), ("goslim_generic-2008.obo", 119)])
def test_real_slims_old_and_new(file, terms):
    graph = obo.read_graph(corpora.find_root("go") / "sources" / file)
    assert len(obo.term_table(graph)) == terms


@needs_real
def test_real_ontology_has_families_and_no_giant_one():
    _, table = corpora.go_table()
    sizes = np.bincount(splits.near_copy_groups(table["name"], table["definition"]))
    assert 60 < sizes.max() < 200
    assert 0.4 < sizes[sizes > 1].sum() / len(table) < 0.55
