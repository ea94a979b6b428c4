import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bioutils.corpora.records import Document, Link, Remark, Span
from bioutils.corpora.word_json import Category, read_categories, read_words, write_words
from bioutils.errors import DataError

TEXT = "Loss of p53. Growth-arrest fell"
CATEGORIES = {
    "GENE": Category("GENE", "gene", {"kind": "genekind"}),
    "EFFECT": Category("EFFECT", "outcome", {"effect": "effect"}),
}
DOCUMENT = Document(
    "1_PMID77.txt_AB", TEXT,
    (Span("G0", "GENE", ((0, 12),), "Loss of p53."), Span("E0", "EFFECT", ((13, 26),), "Growth-arrest")),
    (), (Link("EN0", "ENTITY_LINKING", (("gene", "G0"), ("outcome", "E0"))),),
    (Remark("G0.genekind", "genekind", "G0", "suppressor"), Remark("E0.effect", "effect", "E0", "less")), "77",
)  # fmt: skip


def test_words_as_the_earlier_system_wrote_them(tmp_path):
    lost = write_words([DOCUMENT], tmp_path / "a.json", categories=CATEGORIES, tokenize=list)
    assert not lost
    words = json.loads((tmp_path / "a.json").read_text())[DOCUMENT.id]
    assert [word["WORD"] for word in words] == TEXT.split()
    assert [word["POS"] for word in words] == [0, 5, 8, 13, 27]
    assert [word["SENTENCE"] for word in words] == [0, 0, 0, 1, 1]
    assert words[2]["TOKENS"] == list("p53.")
    assert [word["GENE"][0]["schema"] for word in words[:3]] == ["B", "I", "E"]
    assert words[3] == {
        "WORD": "Growth-arrest", "TOKENS": list("Growth-arrest"), "SENTENCE": 1, "POS": 13, "GENE": [],
        "EFFECT": [{"id": "E0", "link_ids": ["EN0"], "schema": "S", "effect": "less"}],
    }  # fmt: skip
    assert read_words(tmp_path / "a.json", categories=CATEGORIES) == [DOCUMENT]


def test_what_has_no_place_is_counted(tmp_path):
    spans = (Span("G0", "GENE", ((8, 11),), "p53"), Span("X0", "OTHER", ((0, 4),), "Loss"))
    lost = write_words(
        [replace(DOCUMENT, spans=spans, links=(), remarks=())], tmp_path / "a.json", categories=CATEGORIES
    )
    assert lost == {"spans widened to whole words": 1, "spans of OTHER, which the categories do not name": 1}
    [found] = read_words(tmp_path / "a.json", categories=CATEGORIES)
    assert found.spans == (Span("G0", "GENE", ((8, 12),), "p53."),)


def test_notes_types_and_roles_without_a_place_are_counted(tmp_path):
    links = (
        Link("EN0", "LINKING", (("gene", "G0"), ("outcome", "E0"))),
        Link("EN1", "ENTITY_LINKING", (("cause", "G0"), ("outcome", "EN0"))),
    )
    remarks = (
        Remark("1", "sure", "EN0", "no"), Remark("2", "schema", "G0", "x"), Remark("3", "genekind", "G0", "one"),
        Remark("4", "genekind", "G0", "two"),
    )  # fmt: skip
    document = replace(DOCUMENT, links=links, remarks=remarks)
    assert write_words([document], tmp_path / "a.json", categories=CATEGORIES) == {
        "types of links": 1, "roles in links": 1, "members of links that are no spans": 1, "notes on links and relations": 1,
        "notes named id, link_ids, schema": 1, "second notes of one name on a span": 1,
    }  # fmt: skip
    [found] = read_words(tmp_path / "a.json", categories=CATEGORIES)
    assert found.spans == DOCUMENT.spans
    assert [(x.target, x.value) for x in found.remarks] == [("G0", "one")]


def test_a_span_of_white_space_is_counted(tmp_path):
    spans = (Span("G0", "GENE", ((4, 5),), " "),)
    lost = write_words([replace(DOCUMENT, spans=spans, links=(), remarks=())], tmp_path / "a.json")
    assert lost == {"spans of white space": 1}


def test_spans_in_several_pieces(tmp_path):
    spans = (Span("G0", "GENE", ((0, 4), (8, 12)), "Loss p53."),)
    document = replace(DOCUMENT, spans=spans, links=(), remarks=())
    assert not write_words([document], tmp_path / "a.json", categories=CATEGORIES)
    assert read_words(tmp_path / "a.json", categories=CATEGORIES) == [document]
    inside = (Span("G0", "GENE", ((0, 3), (8, 12)), "Los p53."),)
    lost = write_words([replace(document, spans=inside)], tmp_path / "a.json", categories=CATEGORIES)
    assert lost == {"spans widened to whole words": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "Expected an object"),
        ('{"a": [{"WORD": "x"}]}', "a: not words with tags .KeyError: 'POS'"),
        ('{"a": [{"WORD": "xy", "POS": 0}, {"WORD": "z", "POS": 1}]}', "overlaps"),
        ('{"a": [{"WORD": "x", "POS": 0, "G": [{"id": "G0"}]}]}', "link_ids"),
    ],
)
def test_broken_files(content, message, tmp_path):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read_words(tmp_path / "a.json")


def test_a_tag_category_file(tmp_path):
    path = tmp_path / "c.json"
    path.write_text('{"GENE": {"entity_linking_field": "@geneID", "fields": {"kind": {"mae_field": "@genekind"}}}}')
    assert read_categories(path) == {"GENE": CATEGORIES["GENE"]}
    path.write_text('{"GENE": {"fields": {}}}')
    with pytest.raises(DataError, match="Not a tag-category file"):
        read_categories(path)


@pytest.mark.skipif("BIOUTILS_DATA" not in os.environ, reason="BIOUTILS_DATA is not set")
def test_the_real_file_comes_back_word_for_word(tmp_path):
    folder = Path(os.environ["BIOUTILS_DATA"]) / "fgen"
    categories = read_categories(folder / "tag_categories_v2.json")
    source = folder / "v2_marked_and_linked_test.json"
    documents = read_words(source, categories=categories)
    assert len(documents) == 18
    assert sum(len(d.spans) for d in documents) == 223
    assert sum(len(d.links) for d in documents) == 35
    assert all(len(link.members) == 4 for d in documents for link in d.links)
    raw = json.loads(source.read_text())
    pieces = {word["WORD"]: word["TOKENS"] for words in raw.values() for word in words}
    assert not write_words(documents, tmp_path / "a.json", categories=categories, tokenize=pieces.get)
    again = json.loads((tmp_path / "a.json").read_text())
    for name, words in raw.items():
        for word in [*words, *again[name]]:  # tags of one word have no order
            for category in categories:
                word[category].sort(key=lambda tag: tag["id"])
                for tag in word[category]:
                    tag["link_ids"].sort()
        assert again[name] == words
