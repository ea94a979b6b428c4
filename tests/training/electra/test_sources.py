import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioutils.errors import DataError, UsageError
from bioutils.training.electra.near_copies import TextIndex, run_hashes
from bioutils.training.electra.processes import chunks
from bioutils.training.electra.sources import Cleaner, Piece, clean, read_pieces, write_clean

TEXT = "The p53 gene is mutated. It is lost in\n\nhalf of all tumours. 12\n+ + 1 2 3 = = = =\n"


def test_lines_and_documents_of_plain_text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n\n\nthree\n")
    assert [(p.document, p.text) for p in read_pieces([path])] == [(1, "one"), (1, "two"), (3, "three")]
    whole = list(read_pieces([path, path], blank_lines=False))
    assert [p.document for p in whole] == [1, 1, 1, 2, 2, 2]


def test_abstracts_of_json_lines_and_xml(tmp_path):
    lines = tmp_path / "a.jsonl.gz"
    rows = [{"id": "1", "title": "A title", "abstract": "A text. More."}, {"id": "2", "title": "", "abstract": "B"}]
    with gzip.open(lines, "wt") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)
    xml = tmp_path / "b.xml"
    xml.write_text(
        "<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>3</PMID><Article><ArticleTitle>T</ArticleTitle>"
        "<Abstract><AbstractText>Of XML.</AbstractText></Abstract></Article></MedlineCitation></PubmedArticle>"
        "</PubmedArticleSet>"
    )
    assert list(read_pieces([lines, xml])) == [
        Piece(1, "A title"), Piece(1, "A text. More."), Piece(2, "B"), Piece(3, "T"), Piece(3, "Of XML."),
    ]  # fmt: skip


def test_texts_of_json_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"text": "One line.\n\nAnother."}, {"text": ""}, {"id": 3, "title": "T", "text": "Third."}]
    path.write_text("\n" + "\n\n".join(map(json.dumps, rows)))
    assert list(read_pieces([path])) == [
        Piece(1, "One line."), Piece(1, "Another."), Piece(3, "T"), Piece(3, "Third."),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "found"), [('{"title": "T"}', "title"), ('{"text": 3}', "text"), ("[1]", "1"), ("{", "{")]
)
def test_json_lines_without_a_text(tmp_path, line, found):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "One."}\n' + line + "\n")
    with pytest.raises(DataError, match=rf"a\.jsonl:2: Expected the line to be an object with a text, found .*{found}"):
        list(read_pieces([path]))


@pytest.mark.parametrize("name", ["a.txt", "A.TXT", "a.txt.gz"])
def test_plain_text_may_begin_as_it_likes(tmp_path, name):
    for text in ('{"a": 1} is the set.', "<?xml is a mark.", "<Pub> is a tag."):
        content = (text + "\nMore.\n").encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        assert list(read_pieces([tmp_path / name])) == [Piece(1, text), Piece(1, "More.")]


def test_what_has_no_ending_is_told_by_its_content(tmp_path):
    path = tmp_path / "input"
    path.write_text('{"id": 1, "title": "T", "abstract": "A."}\n')
    assert list(read_pieces([path])) == [Piece(1, "T"), Piece(1, "A.")]
    path.write_text('{"text": "A."}\n')
    assert list(read_pieces([path])) == [Piece(1, "A.")]
    path.write_text("A.\n")
    assert list(read_pieces([path])) == [Piece(1, "A.")]


def test_the_longest_text_holds_for_every_source(tmp_path):
    long = "word " * 20_000 + "x"
    path = tmp_path / "a.jsonl"
    path.write_text(
        json.dumps({"id": "p1", "title": "T", "abstract": "A."}) + "\n" + json.dumps({"id": "p2", "abstract": long})
    )
    with pytest.raises(DataError, match=r"a\.jsonl: Abstract p2 has a text of 100,001 characters"):
        list(read_pieces([path]))
    path.write_text(json.dumps({"text": "A."}) + "\n" + json.dumps({"text": long}))
    with pytest.raises(DataError, match=r"a\.jsonl:2: A text of 100,001 characters"):
        list(read_pieces([path]))
    path.write_text(json.dumps({"text": long[1:]}) + "\n" + json.dumps({"text": long[:-1] + "\n" + long[:-1]}))
    assert len(list(read_pieces([path]))) == 3  # as long as may be


def test_sentences_and_what_is_dropped():
    pieces = [Piece(1, line) for line in TEXT.split("\n") if line] + [Piece(2, "\x07\u200b")]
    kept, dropped = Cleaner(TextIndex([]))(pieces)
    assert kept == [(1, "The p53 gene is mutated."), (1, "It is lost in"), (1, "half of all tumours.")]
    assert dropped == {"short": 1, "few letters": 1, "empty": 1, "near copy": 0}


def test_the_written_text_has_documents_apart_and_no_sentence_twice(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(
        "The first sentence here. The second one here.\n\nThe FIRST sentence here.\n\nA third one stands.\n"
    )
    counts = write_clean([path], tmp_path / "out.txt", progress=False)
    text = "The first sentence here.\nThe second one here.\n\nA third one stands.\n"
    assert (tmp_path / "out.txt").read_text() == text
    assert counts == {
        "documents": 2, "sentences": 3, "words": 12, "empty": 0, "short": 0, "few letters": 0, "repeated": 1, "near copy": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"a\.txt.*empty"),
        (b"ELF\x00\x01\x02", "binary file"),
        (b"fine\nna\xefve\n", r"a\.txt:2.*Not UTF-8"),
        (b"short\n" + b"x" * 1_000_000, r"a\.txt:2.*1,000,000 characters"),
    ],
)
def test_broken_files(content, message, tmp_path):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        write_clean([tmp_path / "a.txt"], tmp_path / "out.txt", progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_nothing_left_and_folders(tmp_path):
    (tmp_path / "a.txt").write_text("1 2 3\n")
    with pytest.raises(UsageError, match="none kept"):
        write_clean([tmp_path / "a.txt"], tmp_path / "out.txt", progress=False)
    with pytest.raises(UsageError, match="is a folder"):
        list(read_pieces([tmp_path]))


@given(st.text())
def test_clean_text_stays_clean(text):
    once = clean(text)
    assert clean(once) == once
    assert not any(c in once for c in "\n\t\r\x00\u200b")


def test_near_copies():
    index = TextIndex(["Expression of the IL-2 gene was strongly reduced in treated T cells .", "Short one"])
    sentences = [
        "expression of the IL-2 gene was strongly reduced in treated T-cells",  # but for case and signs
        "Clearly, expression of the IL-2 gene was strongly reduced in treated T cells from mice.",  # mostly
        "We find that expression of the IL-4 gene was hardly changed in any of the other cells.",  # in parts
        "short one",
        "A short one",
    ]
    assert index.copied(sentences) == [True, True, False, True, False]
    assert TextIndex([]).copied(["a b c"]) == [False]
    assert len(run_hashes("one two three four five six")) == 2


def test_the_text_of_the_suite_leaves_test_parts_out(tmp_path):
    from bioutils.corpora import load
    from bioutils.corpora.entities import read_entities
    from bioutils.training.electra.suite_text import gather

    counts = gather(tmp_path / "text", sample=True)
    text = {path.stem: path.read_text() for path in (tmp_path / "text").iterdir()}
    assert set(text) == {"abstracts", "chemprot", "go", "jnlpba", "left-out"}  # nothing that is not for commerce
    entities = read_entities("jnlpba", sample=True)
    first = " ".join(entities.parts["test"][0].tokens)
    assert first in text["left-out"]
    assert first not in text["jnlpba"]
    assert " ".join(entities.parts["train"][0].tokens) in text["jnlpba"]
    for split in ("random", "grouped"):
        assert not set(load("go", sample=True, split=split)["test"]["text"][:]) & set(text["go"].split("\n"))
    assert counts["left-out.txt"] == len(text["left-out"].splitlines())


def test_chunks():
    pieces = [Piece(1, str(i)) for i in range(5)]
    assert [len(chunk) for chunk in chunks(pieces, 2)] == [2, 2, 1]
