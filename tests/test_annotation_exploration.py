import pytest

from bioutils.annotation_exploration import document_table, merged, pair_table, split, value_table
from bioutils.corpora import project_data
from bioutils.corpora.mae import read_mae
from bioutils.corpora.records import Document, Link, Remark, Span
from bioutils.encoders import load_tokenizer
from bioutils.errors import UsageError

TEXT = "siRNA of p53, in HeLa cells."
DOCUMENT = Document(
    "d", TEXT,
    (
        Span("P0", "ACTION", ((0, 12),), "siRNA of p53"), Span("G0", "GENE", ((9, 12),), "p53"),
        Span("C0", "CONTEXT", ((17, 27),), "HeLa cells"),
    ), (),
    (Link("L0", "LINKING", (("action", "P0"), ("context", "C0"))), Link("L1", "LINKING", (("action", "P0"), ("gene", "G0")))),
    (Remark("1", "action", "P0", "knockdown"), Remark("2", "kind", "C0", "in vitro")),
)  # fmt: skip


def test_a_document_counted_by_hand(encoder_dir):
    [row] = document_table([DOCUMENT]).to_dict("records")
    assert row == {
        "id": "d", "words": 6, "pieces": 0, "tags": 3, "tagged_words": 5, "tagged_share": pytest.approx(5 / 6),
        "tags_a_tagged_word": pytest.approx(6 / 5), "most_on_a_word": 2, "words_of_several_categories": 1,
        "B": 2, "I": 1, "E": 2, "S": 1, "links": 2,  # siRNA of p53, and HeLa cells: begin, (inside,) end; p53 is one word
        "linked_tags": 3, "linked_tag_share": 1, "links_a_linked_tag": pytest.approx(4 / 3), "most_links_of_a_tag": 2,
        # siRNA, of, p53: both links; HeLa, cells: one
        "linked_words": 5, "linked_word_share": pytest.approx(5 / 6), "links_a_linked_word": pytest.approx(8 / 5),
        "most_links_of_a_word": 2,
    }  # fmt: skip
    tokenizer = load_tokenizer(str(encoder_dir))
    assert document_table([DOCUMENT], tokenizer)["pieces"].item() == len(tokenizer.tokenize(TEXT))
    [empty] = document_table([Document("e", "")]).to_dict("records")
    assert (empty["words"], empty["tagged_share"], empty["most_on_a_word"]) == (0, 0, 0)


def test_values_and_pairs():
    values = value_table([DOCUMENT])
    assert value_table([]).empty
    assert list(values.itertuples(index=False, name=None)) == [
        ("ACTION", "action", "knockdown", 1, 1, 3.0, 1.0, 1),
        ("CONTEXT", "kind", "in vitro", 1, 1, 2.0, 1.0, 1),
        ("GENE", "", "", 1, 1, 1.0, 1.0, 1),
    ]
    spans = (Span("C0", "CONTEXT", ((0, 5),), "siRNA"), Span("C1", "CONTEXT", ((9, 12),), "p53"))
    remarks = (Remark("1", "kind", "C0", "in vitro"), Remark("2", "kind", "C1", "in vitro"))
    second = Document("e", TEXT, spans, (), (), remarks)
    rows = value_table([DOCUMENT, second, Document("f", TEXT)]).set_index("category")
    assert rows.loc["CONTEXT", ["tags", "documents", "mean", "most"]].tolist() == [3, 2, 1.0, 2]
    assert rows.loc["GENE", ["tags", "mean", "most"]].tolist() == [1, pytest.approx(1 / 3), 1]
    assert list(pair_table([DOCUMENT]).itertuples(index=False, name=None)) == [
        ("ACTION: knockdown", "CONTEXT: in vitro", 1),
        ("ACTION: knockdown", "GENE", 1),
    ]
    assert pair_table([]).empty


def test_parts_by_abstract():
    documents = read_mae(project_data() / "sample" / "mae")  # both annotators' copies: two documents an abstract
    parts = split(documents, {"train": 0.8, "test": 0.2}, seed=3)
    groups = {name: {d.group for d in found} for name, found in parts.items()}
    assert not groups["train"] & groups["test"]
    assert (len(groups["train"]), len(groups["test"])) == (48, 12)
    linked = {
        name: sum(any(d.links for d in found if d.group == g) for g in groups[name]) for name, found in parts.items()
    }
    assert linked["train"] / 48 == pytest.approx(linked["test"] / 12, abs=0.1)
    assert merged(list(parts.values())) == parts["train"] + parts["test"]
    assert split(documents, {"train": 8, "test": 2}, seed=3) == parts
    assert split(documents, {"train": 8, "test": 2}, seed=4) != parts
    with pytest.raises(UsageError, match="more than one part"):
        merged([documents, documents[:2]])
    with pytest.raises(UsageError, match=r"of one task, found Genomics_ConceptTask \(part 1\), Other \(part 2\)"):
        merged([documents, [Document("o", "", task="Other")]])
    with pytest.raises(UsageError, match="shares"):
        split(documents, {"train": 1.0})
    for share in (0, -1, float("inf"), float("nan")):
        with pytest.raises(UsageError, match="each a number above 0"):
            split(documents, {"train": 1, "test": share})
    with pytest.raises(UsageError, match="abstracts"):
        split([DOCUMENT], {"train": 1, "test": 1})
