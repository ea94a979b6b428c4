import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioutils.corpora.conll import Sentence, entity_counts, read_conll, write_conll
from bioutils.errors import DataError, UsageError

WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=6).filter(
    lambda w: not w.startswith(("-DOCSTART-", "###MEDLINE:")) and not any(c.isspace() for c in w)
)
SENTENCES = st.lists(st.tuples(WORDS, st.sampled_from(["O", "B-X", "B-Y"])), min_size=1, max_size=5)


@given(found=st.lists(st.tuples(SENTENCES, st.integers(1, 3)), min_size=1, max_size=5))
def test_writing_and_reading_give_the_same(found, tmp_path_factory):
    path = tmp_path_factory.mktemp("conll") / "a.tsv"
    rows = sorted(found, key=lambda row: row[1])
    sentences = [Sentence(*map(tuple, zip(*pairs, strict=True)), document=str(d)) for pairs, d in rows]
    write_conll(sentences, path)
    again = read_conll(path)
    assert [(s.tokens, s.tags) for s in again] == [(s.tokens, s.tags) for s in sentences]
    assert len({s.document for s in again}) == len({s.document for s in sentences})


def test_document_lines_blank_lines_and_a_missing_last_one(tmp_path):
    path = tmp_path / "a.iob2"
    path.write_bytes(
        b"###MEDLINE:97218353\r\n\r\nZinc\tO\r\nbinds\tO\r\n\r\n\r\nPKC\tB-protein\r\n\r\n###MEDLINE:97218353\r\n\r\nIL\tB-DNA\r\n-2\tI-DNA"
    )
    found = read_conll(path)
    assert [s.tokens for s in found] == [("Zinc", "binds"), ("PKC",), ("IL", "-2")]
    assert [s.document for s in found] == ["1:97218353", "1:97218353", "2:97218353"], (
        "the same id twice is two abstracts"
    )
    assert [s.line for s in found] == [3, 7, 11]
    assert entity_counts(found) == {"protein": 1, "DNA": 1}


def test_more_columns_and_gzip(tmp_path):
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(gzip.compress(b"Zinc\tNN\tx\tO\nPKC\tNN\ty\tS-protein\n"))
    (found,) = read_conll(path)
    assert found.tags == ("O", "S-protein")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Zinc\tO\nPKC\n", r"a.tsv:2: Expected the line to be a token and a tag"),
        ("Zinc\tO\nP\tKC\tO\n", r"a.tsv:2: Expected the line to be 2 columns, as in the first, found '3: P"),
        ("Zinc\tO\nPKC\tX\n", r"a.tsv:2: 'X' is no tag"),
        ("Zinc\tB-metal\n", r"a.tsv:1: Expected type to be a known one, found 'metal'"),
        ("Zi\x07nc\tO\n", r"a.tsv:1: The token 'Zi\\x07nc' is empty or holds a control character"),
        ("\tO\n", r"a.tsv:1: The token '' is empty"),
        ("Zinc\tO\nPKC\tI-protein\nx\tO\ny\tB-protein\n", r"1 tags are not legal in IOB2(.|\n)*line 2: I-protein"),
        ("", "The file is empty"),
        ("\n\n", "No sentence in this file"),
    ],
)
def test_a_bad_file_is_one_clear_error(content, message, tmp_path):
    (tmp_path / "a.tsv").write_text(content)
    with pytest.raises(DataError, match=message):
        read_conll(tmp_path / "a.tsv", types=["protein"])


def test_a_file_without_blank_lines_is_no_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("bioutils.corpora.conll.MOST_TOKENS", 100)
    (tmp_path / "a.tsv").write_text("x\tO\n\n" + "y\tO\n" * 101)
    with pytest.raises(DataError, match=r"a.tsv:3: More than 100 tokens without a blank line"):
        read_conll(tmp_path / "a.tsv")


def test_repairs_are_made_only_where_asked_and_are_told(tmp_path):
    (tmp_path / "a.tsv").write_text("a\tO\nb\tI-X\nc\tI-X\n\nd\tB-X\ne\tI-Y\n")
    repairs = []
    found = read_conll(tmp_path / "a.tsv", repairs=repairs)
    assert [s.tags for s in found] == [("O", "B-X", "I-X"), ("B-X", "B-Y")]
    assert [(r.line, r.before) for r in repairs] == [(1, ("O", "I-X", "I-X")), (5, ("B-X", "I-Y"))]


def test_wrong_calls(tmp_path):
    with pytest.raises(UsageError, match="Expected scheme"):
        read_conll(tmp_path / "a.tsv", scheme="IOX")
    with pytest.raises(DataError, match="cannot stand in a column"):
        write_conll([Sentence(("a b",), ("O",))], tmp_path / "a.tsv")
    assert not (tmp_path / "a.tsv").exists()
