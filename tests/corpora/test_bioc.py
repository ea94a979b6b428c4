import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioutils.corpora.bioc import read_bioc, write_bioc
from bioutils.corpora.records import Document, Link, Relation, Remark, Span
from bioutils.errors import DataError

TEXT = "A title\nAspirin blocks COX-1 and\nCOX-2."


def document(text: str = TEXT) -> Document:
    spans = (
        Span("T1", "Chemical", ((8, 15),), "Aspirin"),
        Span("T2", "Gene", ((23, 28),), "COX-1"),
        Span("T3", "Gene", ((8, 11), (16, 22)), "Asp blocks"),
    )
    remarks = (Remark("A1", "Score", "T1", "0.9"), Remark("A2", "note", "R1", "sure"))
    return Document("d/1", text, spans, (Relation("R1", "inhibits", "T1", "T2"),), remarks=remarks, group="d/1")


def test_round_trip(tmp_path):
    found = [document(), Document("empty", "", group="empty"), Document("lines", "\n\na\n", group="lines")]
    write_bioc(found, tmp_path / "a.json", source="test")
    assert read_bioc(tmp_path / "a.json") == found
    raw = json.loads((tmp_path / "a.json").read_text())
    passage = raw["documents"][0]["passages"][1]
    assert passage["offset"] == 8
    assert passage["annotations"][0] == {
        "id": "T1", "infons": {"type": "Chemical", "Score": "0.9"}, "text": "Aspirin", "locations": [{"offset": 8, "length": 7}],
    }  # fmt: skip


@given(text=st.text(st.characters(exclude_categories=["C"], include_characters="\n"), max_size=60))
def test_any_text_comes_back(text, tmp_path_factory):
    path = tmp_path_factory.mktemp("bioc") / "a.json"
    write_bioc([Document("1", text, group="1")], path)
    assert read_bioc(path)[0].text == text


def test_spans_across_lines_and_links(tmp_path):
    spans = (Span("T1", "x", ((0, 3),), "a\nb"), Span("T2", "y", ((4, 5),), "c"))
    links = (
        Link("EN0", "L", (("x", "T1"), ("y", "T2"))),  # of two members, and still no relation
        Link("EN1", "L", (("x", "T1"), ("y", "T2"), ("y", "T1"))),
    )
    remarks = (Remark("A1", "sure", "EN0", "no"),)
    document = Document("7", "a\nb\nc", spans, (), links, remarks, group="7")
    write_bioc([document], tmp_path / "a.json")
    assert read_bioc(tmp_path / "a.json") == [document]
    passages = json.loads((tmp_path / "a.json").read_text())["documents"][0]["passages"]
    assert len(passages) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "BioC collection"),
        ('{"documents": [{"id": "1"}]}', "Document 1 is no BioC document"),
        (
            '{"documents": [{"id": "1", "passages": [{"offset": 0, "text": "abc"}, {"offset": 1, "text": "b"}]}]}',
            "overlaps",
        ),
        (
            '{"documents": [{"id": "1", "passages": [{"offset": 0, "text": "abc", "annotations": [{"id": "T1", "text": "x", '
            '"infons": {"type": "g"}, "locations": [{"offset": 0, "length": 1}]}]}]}]}',
            "T1 is given as 'x'",
        ),
        ("{", "a.json:1: Not JSON"),
    ],
)
def test_broken_files(content, message, tmp_path):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read_bioc(tmp_path / "a.json")


def test_what_has_no_place_is_counted_and_harms_nothing(tmp_path):
    remarks = (
        Remark("A1", "type", "T1", "Drug"), Remark("A2", "form", "T1", "pill"), Remark("A3", "form", "R1", "link"),
        Remark("A4", "note", "T1", "one"), Remark("A5", "note", "T1", "two"), Remark("A6", "note", "A5", "three"),
    )  # fmt: skip
    found = replace(document(), remarks=remarks)
    assert write_bioc([found], tmp_path / "a.json") == {
        "notes named type": 1, "notes named form": 1, "second notes of one name": 1, "notes on notes": 1,
    }  # fmt: skip
    [again] = read_bioc(tmp_path / "a.json")
    assert (again.spans, again.relations, again.links) == (found.spans, found.relations, ())
    kept = [(x.type, x.target, x.value) for x in again.remarks]
    assert kept == [("form", "T1", "pill"), ("note", "T1", "one")]


def test_group_and_task_come_back(tmp_path):
    found = [
        Document("7_PMID12", "a", group="12"),
        Document("sentence-1", "a", group="12", task="Task"),
        Document("PMID5-2", "a", group="other"),
    ]
    assert not write_bioc(found, tmp_path / "a.json")
    assert read_bioc(tmp_path / "a.json") == found
    raw = json.loads((tmp_path / "a.json").read_text())["documents"]
    assert [x["infons"] for x in raw] == [{}, {"group": "12", "task": "Task"}, {"group": "other"}]
