import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bioutils.corpora.mae import read_mae
from bioutils.corpora.records import Document, Link, Remark, Span
from bioutils.errors import DataError, UsageError
from bioutils.evaluation.agreement import alpha, alpha_table, kappa, link_table, pair_table, word_score
from bioutils.evaluation.copies import align, not_used_by_all
from bioutils.evaluation.disagreements import disagreements, link_disagreements

TEXT = "Loss of p53 slows growth in mice."


def document(*spans: tuple[str, int, int, str], links=(), text: str = TEXT, name: str = "t1") -> Document:
    made = tuple(Span(f"T{i}", kind, ((a, b),), text[a:b]) for i, (kind, a, b, _) in enumerate(spans))
    remarks = tuple(Remark(f"R{i}", "value", f"T{i}", value) for i, (*_, value) in enumerate(spans))
    joined = tuple(Link(f"L{i}", "LINK", members) for i, members in enumerate(links))
    return Document(name, text, made, (), joined, remarks, name)


# Loss of p53: both; p53 alone: A; slows: both, other value; growth / growth in: other borders; mice: B alone
A = document(
    ("ACTION", 0, 11, "loss"), ("GENE", 8, 11, "x"), ("EFFECT", 12, 17, "down"), ("TRAIT", 18, 24, "growth"),
    links=[(("action", "T0"), ("effect", "T2")), (("action", "T0"), ("gene", "T1"))],
)  # fmt: skip
B = document(
    ("ACTION", 0, 11, "loss"), ("EFFECT", 12, 17, "up"), ("TRAIT", 18, 27, "growth"), ("CONTEXT", 28, 32, "organism"),
    links=[(("action", "T0"), ("effect", "T1")), (("effect", "T1"), ("action", "T0"))],
)  # fmt: skip


@pytest.fixture
def copies():
    return align({"ann": [A], "bob": [B]})


def test_spans_by_hand(copies):
    table = pair_table(copies).set_index("category")
    assert list(table.index) == ["ACTION", "CONTEXT", "EFFECT", "GENE", "TRAIT", "all"]
    assert table.loc["all", ["n_first", "n_second"]].tolist() == [4, 4]
    assert table["exact_f1"].tolist() == [1, 0, 1, 0, 0, 0.5]
    assert table["overlap_f1"].tolist() == [1, 0, 1, 0, 1, 0.75]
    # tokens: ann has Loss of p53(2) slows growth = 6 categories, bob Loss of p53 slows growth in mice = 7; 5 alike
    assert table.loc["all", "token_f1"] == pytest.approx(2 * 5 / 13)
    assert table.loc["EFFECT", "labels_equal"] == 0
    assert table.loc["all", "labels_equal"] == 0.5
    assert np.isnan(table.loc["GENE", "labels_equal"])
    assert table.loc["GENE", "token_kappa"] == 0  # only one of them used it
    assert (table["exact_f1_low"] <= table["exact_f1"]).all()


def test_links_given_agreed_ends(copies):
    [row] = link_table(copies).to_dict("records")
    # one of ann's names p53, which bob has not; bob's two are one and the same, of which ann's one can match but one
    assert (row["n_first"], row["n_second"], row["agreed_first"], row["agreed_second"]) == (2, 2, 1, 2)
    assert row["f1"] == pytest.approx(2 / 3)


def test_disagreements_are_told_with_their_text(copies):
    table = disagreements(copies)
    assert table[["annotator", "category", "text", "kind"]].to_numpy().tolist() == [
        ["ann", "GENE", "p53", "alone"],
        ["ann", "EFFECT", "slows", "label"],
        ["ann", "TRAIT", "growth", "borders"],
        ["bob", "TRAIT", "growth in", "borders"],
        ["bob", "CONTEXT", "mice", "alone"],
    ]
    assert table["label"].tolist() == ["value x", "value down", "value growth", "value growth", "value organism"]
    assert table["other_label"].tolist() == ["", "value up", "", "", ""]
    other = document(("GENE", 0, 11, "loss"))
    kinds = disagreements(align({"ann": [document(("ACTION", 0, 11, "loss"))], "bob": [other]}))["kind"]
    assert kinds.tolist() == ["category", "category"]


def kinds_of(one: Document, other: Document) -> list[tuple[str, str, str]]:
    table = disagreements(align({"ann": [one], "bob": [other]}))
    return list(table[["annotator", "category", "kind"]].itertuples(index=False, name=None))


def test_a_tag_too_many_is_no_other_category():
    gene, action = ("GENE", 8, 11, "x"), ("ACTION", 8, 11, "y")
    assert kinds_of(document(gene, gene), document(gene)) == [("ann", "GENE", "extra")]
    assert kinds_of(document(gene, action), document(gene)) == [("ann", "ACTION", "alone")]  # bob's tag is ann's, too
    assert kinds_of(document(gene, gene), document(gene, action)) == [
        ("ann", "GENE", "extra"), ("bob", "ACTION", "category"),
    ]  # fmt: skip


def test_equal_labels_are_paired_first():
    p, q, r = (("GENE", 8, 11, value) for value in "pqr")
    copies = align({"ann": [document(p, q)], "bob": [document(q, p)]})
    assert pair_table(copies)["labels_equal"].tolist() == [1, 1]
    assert alpha_table(copies)["n_places"].tolist() == [1, 1]
    assert disagreements(copies).empty
    copies = align({"ann": [document(p, q)], "bob": [document(r, p)]})
    assert pair_table(copies)["labels_equal"].tolist() == [0.5, 0.5]
    assert disagreements(copies)[["label", "other_label"]].to_numpy().tolist() == [["value q", "value r"]]
    # of two places one is labelled alike, whatever the order: as for the answers a/a and b/c
    copies = align({
        "ann": [document(p, q, ("GENE", 0, 4, "p"))], "bob": [document(q, p, ("GENE", 0, 4, "q"))],
    })  # fmt: skip
    assert alpha_table(copies)["label_alpha"].iloc[0] == alpha([["a", "a"], ["b", "c"]])


def test_links_that_one_alone_has_between_agreed_ends(copies):
    [row] = link_disagreements(copies).to_dict("records")
    assert row == {
        "text_id": "t1", "annotator": "bob", "other": "ann", "type": "LINK", "link": "L1",
        "members": "effect: slows; action: Loss of p53", "start": 0, "end": 17,
    }  # fmt: skip
    assert link_disagreements(align({"ann": [A], "bob": [A]})).empty


def test_what_not_all_use(copies):
    assert not_used_by_all(copies) == {"CONTEXT": ("bob",), "GENE": ("ann",)}
    renamed = replace(B, remarks=tuple(replace(x, type="label") if x.target == "T0" else x for x in B.remarks))
    found = not_used_by_all(align({"ann": [A], "bob": [renamed], "eve": [A]}))
    assert found == {
        "ACTION.label": ("bob",), "ACTION.value": ("ann", "eve"), "CONTEXT": ("bob",), "GENE": ("ann", "eve"),
    }  # fmt: skip
    assert not_used_by_all(align({"ann": [A], "bob": [A]})) == {}


def test_full_agreement(copies):
    table = pair_table(align({"ann": [A], "bob": [A], "eve": [A]}))
    assert len(table) == 3 * 5
    assert (table[["exact_f1", "overlap_f1", "token_f1", "token_kappa", "labels_equal"]] == 1).all(axis=None)
    found = alpha_table(align({"ann": [A], "bob": [A], "eve": [A]})).set_index("category")
    assert (found["token_alpha"] == 1).all()
    assert found.loc["all", "label_alpha"] == 1
    assert np.isnan(found.loc["GENE", "label_alpha"])  # one value throughout: nothing varies
    assert disagreements(align({"ann": [A], "bob": [A]})).empty


def test_the_earlier_score_by_hand():
    # Loss, of: equal; p53: loss of two values {loss, x} against {loss}; slows: down/up; growth: equal; in: bob; mice.: bob
    score, n = word_score(A, B)
    assert n == 7
    assert score == pytest.approx(1 + 1 + 1 / 2 + 0 + 1 + 0 + 0)
    assert word_score(document(), document()) == (0, 0)


answers = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=2, max_size=30)


@given(answers)
@settings(deadline=None)
def test_kappa_is_scikit_learns(pairs):
    import warnings

    from sklearn.metrics import cohen_kappa_score

    first, second = zip(*pairs, strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = cohen_kappa_score(first, second)
    assert kappa(first, second) == pytest.approx(expected, nan_ok=True)


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=3, max_size=3), min_size=2, max_size=15))
@settings(deadline=None)
def test_alpha_is_krippendorffs(rows):
    import krippendorff

    compared = {a for row in rows if sum(a is not None for a in row) > 1 for a in row if a is not None}
    if len(compared) < 2:
        assert np.isnan(alpha(rows))
        return
    table = np.array([[{"a": 1, "b": 2, "c": 3}.get(a, np.nan) for a in row] for row in rows]).T
    expected = krippendorff.alpha(reliability_data=table, level_of_measurement="nominal")
    assert alpha(rows) == pytest.approx(expected)


def test_krippendorffs_own_example():
    # Krippendorff 2011, "Computing Krippendorff's alpha-reliability", section C: nominal, four observers, with gaps
    data = """1 2 3 3 2 1 4 1 2 * * *
              1 2 3 3 2 2 4 1 2 5 * 3
              * 3 3 3 2 3 4 2 2 5 1 *
              1 2 3 3 2 4 4 1 2 5 1 *"""
    columns = [[None if a == "*" else a for a in line.split()] for line in data.splitlines()]
    assert alpha(list(zip(*columns, strict=True))) == pytest.approx(0.743, abs=5e-4)


def test_what_cannot_be_compared():
    with pytest.raises(UsageError, match="annotators to be two or more"):
        align({"ann": [A]})
    with pytest.raises(UsageError, match="No text was annotated by all"):
        align({"ann": [A], "bob": [document(name="t2")]})
    with pytest.raises(DataError, match=r"differ in 1 of 1: \['t1'\]"):
        align({"ann": [A], "bob": [document(text="Other words in the same place.")]})
    with pytest.raises(DataError, match="Expected bob to have one copy of the text t1, found t1 and t1-again"):
        align({"ann": [A], "bob": [B, replace(A, id="t1-again")]})
    with pytest.raises(UsageError, match=r"of one task, found V1 \(ann\), V2 \(bob\)\. .*--task NAME"):
        align({"ann": [replace(A, task="V1")], "bob": [replace(B, task="V2")]})
    assert align({"ann": [replace(A, task="V1")], "bob": [B]}).annotators == ("ann", "bob")  # bob's format has no task
    found = align({"ann": [A, document(name="t2")], "bob": [B]})
    assert found.alone == {"ann": 1, "bob": 0}
    nothing = pair_table(align({"ann": [document()], "bob": [document()]}))
    assert nothing["exact_f1"].isna().all()


def test_the_real_annotators_and_the_published_number():
    archive = Path(os.environ.get("BIOUTILS_DATA", "")) / "fgen" / "mae-xml.tar.gz"
    if not archive.is_file():
        pytest.skip("BIOUTILS_DATA has no fgen")
    copies = align({name: read_mae(archive, under=f"IAA calculation/{name}/") for name in ("CC2", "HZ")})
    scores = [word_score(*row) for row in copies.documents]
    assert (sum(score for score, _ in scores), sum(n for _, n in scores)) == (pytest.approx(562), 1236)
    assert max(score / n for score, n in scores if n) == pytest.approx(0.7812, abs=5e-5)
    assert sum(n == 0 for _, n in scores) == 3
    table = pair_table(copies).set_index("category")
    assert table.loc["all", "token_kappa"] == pytest.approx(0.679, abs=5e-4)
    assert table.loc["all", "exact_f1"] == pytest.approx(0.653, abs=5e-4)
    assert link_table(copies)["f1"].item() == pytest.approx(0.526, abs=5e-4)
