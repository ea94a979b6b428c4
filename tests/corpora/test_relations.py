import os
from dataclasses import replace
from pathlib import Path

import pytest

from bioutils import corpora
from bioutils.corpora.records import Document, Relation, Span
from bioutils.corpora.relation_dataset import export_tsv
from bioutils.corpora.relations import (
    CHEMPROT,
    FORMS,
    PGX,
    check,
    examples,
    label_counts,
    read_relations,
    several_labels,
    split_document,
)
from bioutils.errors import DataError, UsageError

REAL = os.environ.get("BIOUTILS_DATA")
TEXT = "Zinc blocks PKC and PKA. Iron too."
SPANS = (
    Span("T1", "CHEMICAL", ((0, 4),), "Zinc"),
    Span("T2", "GENE-Y", ((12, 15),), "PKC"),
    Span("T3", "GENE-Y", ((20, 23),), "PKA"),
    Span("T4", "CHEMICAL", ((25, 29),), "Iron"),
)
DOCUMENT = Document("d", TEXT, SPANS, (Relation("R1", "INHIBITOR", "T1", "T2"),), group="g")


def real(name: str) -> Path:
    if not REAL or not (Path(REAL) / name).is_dir():
        pytest.skip(f"BIOUTILS_DATA has no {name}")
    return Path(REAL)


def test_examples_are_the_relations_in_order():
    (found,) = examples([DOCUMENT])
    assert (found.id, found.group, found.first.text, found.second.text, found.label) == (
        "d.R1",
        "g",
        "Zinc",
        "PKC",
        "INHIBITOR",
    )


def test_negatives_are_the_other_pairs_once_and_never_a_related_one():
    backwards = replace(DOCUMENT, relations=(Relation("R1", "INHIBITOR", "T2", "T1"),))
    found = examples([backwards], negatives=True, types=[("CHEMICAL", "GENE-Y")])
    pairs = [(e.first.id, e.second.id) for e in found if e.label == "false"]
    assert pairs == [("T1", "T3"), ("T2", "T4"), ("T3", "T4")]
    assert len(examples([backwards], negatives=True)) == 6


def test_several_labels_for_one_pair():
    twice = replace(DOCUMENT, relations=(*DOCUMENT.relations, Relation("R2", "SUBSTRATE", "T1", "T2")))
    (same,) = several_labels(examples([twice])).values()
    assert {e.label for e in same} == {"INHIBITOR", "SUBSTRATE"}
    assert not several_labels(examples([DOCUMENT, replace(DOCUMENT, id="e")]))


def test_a_document_in_sentences_moves_the_offsets_and_counts_what_it_loses():
    across = replace(DOCUMENT, relations=(*DOCUMENT.relations, Relation("R2", "INHIBITOR", "T4", "T2")))
    with pytest.warns(UserWarning, match=r"d: 1 relations across sentences left out: \['R2'\]"):
        first, second = split_document(across)
    assert [s.text for s in first.spans] == ["Zinc", "PKC", "PKA"]
    (span,) = second.spans
    assert second.text[span.start : span.end] == "Iron"
    assert first.group == second.group == "g"


def test_samples_are_as_large_as_promised():
    pgx, chemprot = (read_relations(name, sample=True) for name in ("pgxcorpus", "chemprot"))
    assert len(pgx.documents) >= 150
    assert {e.label for e in examples(pgx.documents)} == set(PGX)
    assert any(len(s.pieces) > 1 for d in pgx.documents for s in d.spans)
    assert len({d.group for d in chemprot.documents}) >= 60
    assert list(chemprot.parts) == ["train", "validation", "test"]
    assert {e.label for e in examples(chemprot.documents)} <= set(CHEMPROT)


def test_label_sets():
    counts = {kind: label_counts(examples(c.documents), c.labels) for kind in ("flat", "hierarchy", "top")
              for c in [read_relations("pgxcorpus", sample=True, labels=kind)]}  # fmt: skip
    assert counts["hierarchy"]["influences>causes"] == counts["flat"]["causes"]
    parents = ("increases", "decreases", "causes", "influences")
    assert counts["top"]["influences"] == sum(counts["flat"][label] for label in parents)
    groups = read_relations("chemprot", sample=True, labels="groups")
    assert groups.labels[0] == "false"
    assert groups.positive == ("CPR:3", "CPR:4", "CPR:5", "CPR:6", "CPR:9")
    names = read_relations("chemprot", sample=True)
    assert len(examples(groups.documents)) == len(examples(names.documents))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ({"name": "go"}, UsageError, "Expected corpus to be one of relations, found 'go'"),
        ({"name": "chemprot", "sample": True, "form": "brat"}, UsageError, "Expected form to be one of chemprot"),
        (
            {"name": "pgxcorpus", "sample": True, "labels": "fine"},
            UsageError,
            "Expected labels to be a label set of pgxcorpus",
        ),
        ({"name": "gad", "data_root": "nowhere"}, DataError, "The corpus 'gad' is in none of"),
    ],
)
def test_wrong_calls(call, error, message):
    with pytest.raises(error, match=message):
        read_relations(**call)


def test_unknown_labels_and_empty_folders(tmp_path):
    folder = tmp_path / "pgxcorpus"
    folder.mkdir()
    with pytest.raises(DataError, match="Found nothing of pgxcorpus"):
        read_relations("pgxcorpus", data_root=tmp_path)
    (folder / "1_2.txt").write_text("zinc binds PKC")
    (folder / "1_2.ann").write_text("T1\tC 0 4\tzinc\nT2\tG 11 14\tPKC\nR1\tloves Arg1:T1 Arg2:T2\n")
    with pytest.raises(DataError, match="1_2: Expected the relation R1 to be of a known type, found 'loves'"):
        read_relations("pgxcorpus", data_root=tmp_path)


@pytest.mark.parametrize("split", ["random", "grouped"])
def test_a_relation_corpus_loads_as_texts(split):
    dataset = corpora.load("pgxcorpus", sample=True, split=split)
    assert dataset["train"].features["label"].names == list(PGX)
    ids = [i for part in dataset.values() for i in part["id"][:]]
    assert len(ids) == len(set(ids)) == len(examples(read_relations("pgxcorpus", sample=True).documents))
    assert all("<< " in text and " ]]" in text for text in dataset["test"]["text"][:])
    if split == "grouped":
        groups = [set(part["group"][:]) for part in dataset.values()]
        assert not groups[0] & groups[1]
        assert not groups[0] & groups[2]
        assert not groups[1] & groups[2]


def test_the_published_split():
    dataset = corpora.load("chemprot", sample=True, split="published", marking="mask")
    assert all(text.count("@") >= 2 for text in dataset["train"]["text"][:])
    with pytest.raises(UsageError, match="pgxcorpus has no published test part"):
        corpora.load("pgxcorpus", sample=True, split="published")


def test_tsv_export(tmp_path):
    dataset = corpora.load("pgxcorpus", sample=True, split="grouped")
    train, dev, test = (path.read_text().splitlines() for path in export_tsv(dataset, tmp_path))
    assert train[0].split("\t") == [dataset["train"]["text"][0], PGX[dataset["train"]["label"][0]]]
    assert len(dev) == len(dataset["validation"])
    assert test[0] == "index\tsentence\tlabel"
    assert [line.split("\t")[0] for line in test[1:]] == [str(i) for i in range(len(dataset["test"]))]


def test_check_of_the_samples():
    found = check("chemprot", sample=True)
    assert found["original, train: relation INHIBITOR"] > 10
    assert found["offenders"] == "none"


# the real corpora, held to the counts that their sources state


def test_real_pgxcorpus():
    found = check("pgxcorpus", data_root=real("pgxcorpus"))
    stated = {"documents": 945, "groups": 911, "relations": 2871, "discontinuous": 409, "span Chemical": 1718,
              "span Haplotype": 137, "relation influences": 936, "relation causes": 168}  # fmt: skip
    assert {key: found[f"brat: {key}"] for key in stated} == stated


@pytest.mark.parametrize(
    ("part", "rows", "labels"),
    [
        ("train", 4169, {"INHIBITOR": 1642, "AGONIST-INHIBITOR": 4, "SUBSTRATE": 480}),
        ("validation", 2427, {"INHIBITOR": 812, "AGONIST-INHIBITOR": 0, "UPREGULATOR": 17}),
        ("test", 3469, {"INHIBITOR": 1255, "SUBSTRATE_PRODUCT-OF": 0, "DOWNREGULATOR": 72}),
    ],
)
def test_real_chemprot_sentences(part, rows, labels):
    corpus = read_relations("chemprot", data_root=real("chemprot"))
    found = label_counts(examples(corpus.parts[part]), corpus.labels)
    assert sum(found.values()) == rows
    assert {label: found[label] for label in labels} == labels
    if part == "train":
        assert len({d.group for d in corpus.parts["train"]}) == 1653


@pytest.mark.filterwarnings("ignore:.*left out")
def test_real_chemprot_abstracts_and_blurb():
    root = real("chemprot")
    corpus = read_relations("chemprot", data_root=root, form="original")
    assert [len({d.group for d in corpus.parts[p]}) for p in ("train", "validation")] == [1020, 612]
    assert sum(len(d.spans) for d in corpus.parts["train"]) > 1990  # of 2,000; a few lie across two sentences
    blurb = read_relations("chemprot", data_root=root, form="blurb")
    stated = {"false": 8860, "CPR:3": 546, "CPR:4": 1091, "CPR:5": 115, "CPR:6": 199, "CPR:9": 457}
    assert label_counts(examples(blurb.documents), blurb.labels) == stated


def test_real_gad_ddi_snpphena():
    gad = read_relations("gad", data_root=real("gad"))
    assert {p: label_counts(examples(d), gad.labels) for p, d in gad.parts.items()} == {
        "train": {"0": 2034, "1": 2227}, "validation": {"0": 242, "1": 293}, "test": {"0": 253, "1": 281},
    }  # fmt: skip
    tsv = read_relations("ddi", data_root=real("ddi"), form="tsv")
    xml = read_relations("ddi", data_root=real("ddi"), form="xml")
    test = {"false": 4737, "mechanism": 302, "effect": 360, "advise": 221, "int": 96}
    assert (
        label_counts(examples(tsv.parts["test"]), tsv.labels)
        == label_counts(examples(xml.parts["test"]), xml.labels)
        == test
    )
    train = label_counts(examples(xml.parts["train"]), xml.labels)
    assert train == {"false": 23771, "mechanism": 1319, "effect": 1687, "advise": 826, "int": 189}
    assert "DDI-DrugBank.d216.s16.e2" in check("ddi", data_root=REAL)["offenders"]
    snp = read_relations("snpphena", data_root=real("snpphena"), labels="fine")
    assert len(snp.documents) == 483
    assert label_counts(examples(snp.documents), snp.labels)["weak_confidence_association"] == 516


def test_every_form_is_known_to_the_registry():
    assert set(FORMS) <= set(corpora.CORPORA)
