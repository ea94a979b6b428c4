import gzip
import json
import os
from pathlib import Path

import pytest

from bioutils.corpora import find_root
from bioutils.corpora.pubmed import Abstract, Section, read_abstracts
from bioutils.errors import DataError, UsageError

XML = """<?xml version="1.0"?>
<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle, 1st January 2025//EN" "https://dtd.nlm.nih.gov/x.dtd">
<PubmedArticleSet>
<PubmedArticle><MedlineCitation><PMID Version="1">11</PMID><Article><ArticleTitle>On <i>E. coli</i>.</ArticleTitle>
<Abstract><AbstractText Label="AIM">To see H<sub>2</sub>O.</AbstractText><AbstractText Label="RESULTS">a &lt; b.</AbstractText></Abstract>
</Article><OtherAbstract><AbstractText>Autre.</AbstractText></OtherAbstract></MedlineCitation></PubmedArticle>
<PubmedArticle><MedlineCitation><PMID>12</PMID><Article><ArticleTitle>[None.]</ArticleTitle></Article></MedlineCitation></PubmedArticle>
</PubmedArticleSet>"""
FIRST = Abstract("11", "On E. coli.", "To see H2O. a < b.", (Section("AIM", 0, 11), Section("RESULTS", 12, 18)))
SECOND = Abstract("12", "[None.]", "")


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_xml_keeps_labels_and_the_text_of_markup(tmp_path):
    assert list(read_abstracts(write(tmp_path, "a.xml", XML))) == [FIRST, SECOND]
    assert list(read_abstracts(write(tmp_path, "a.xml.gz", gzip.compress(XML.encode())))) == [FIRST, SECOND]


def test_old_citation_sets_and_book_chapters(tmp_path):
    old = "<MedlineCitationSet><MedlineCitation><PMID>1</PMID><Article><ArticleTitle>T</ArticleTitle></Article></MedlineCitation></MedlineCitationSet>"
    book = "<S><PubmedBookArticle><BookDocument><PMID>2</PMID><Book><BookTitle>B</BookTitle></Book></BookDocument></PubmedBookArticle></S>"
    assert [list(read_abstracts(write(tmp_path, "o.xml", x)))[0].title for x in (old, book)] == ["T", "B"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xml", XML[:-30], r"a\.xml:\d+: Not well-formed"),
        ("a.xml", '<!DOCTYPE s [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><s>&b;</s>', "declares entities"),
        ("a.xml", '<!DOCTYPE s [<!ENTITY a SYSTEM "file:///etc/passwd">]><s>&a;</s>', "declares entities"),
        ("a.xml", "<html></html>", "PubMed records"),
        ("a.xml", "", "empty"),
        ("a.xml", XML.replace("<PMID>12</PMID>", ""), "Record 2 has no PMID"),
        ("a.xml.gz", gzip.compress(XML.encode(), mtime=0)[:-20], "cut short"),
        ("a.jsonl", '{"id": 1, "title": "t", "abstract": "x"}\n{oops\n', r"a\.jsonl:2: Not JSON"),
        ("a.jsonl", '{"id": 1, "title": "t"}\n', r"a\.jsonl:1: Expected the line"),
        ("a.jsonl", '{"id": 1, "title": "t", "sections": ["x"]}\n', r"a\.jsonl:1: Expected text"),
        ("a.csv", "id,title,body\n1,t,x\n", r"a\.csv:1: .*--column abstract=NAME"),
        ("a.csv", "id,title,abstract\n1,t\n", r"a\.csv:2: Expected 3 cells"),
        ("a.csv", b"id,abstract\n1,caf\xe9\n", r"a\.csv:2: Not UTF-8"),
        ("a.nbib", "PMID- 1\nTI  - T\n\nAB  - x\nPMID-\n", r"a\.nbib:5: .*PMID"),
        ("a.ris", "TI  - no start\n", "Does not look like ris"),
    ],
)
def test_a_bad_file_is_one_clear_error(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        list(read_abstracts(write(tmp_path, name, content)))


def test_unknown_formats_and_folders(tmp_path):
    with pytest.raises(UsageError, match="PubMed XML"):
        read_abstracts(write(tmp_path, "a.docx", "x"))
    with pytest.raises(UsageError, match="is a folder"):
        read_abstracts(tmp_path)
    with pytest.raises(DataError, match="No such file"):
        read_abstracts(tmp_path / "none.xml")


def test_medline(tmp_path):
    text = "\nPMID- 5\nTI  - A title that\n      goes on.\nAB  - AIM OF STUDY: To see. RESULTS: Seen\n      it.\n\nPMID- 6\nTI  - B\n"
    first, second = read_abstracts(write(tmp_path, "a.nbib", text))
    assert first == Abstract(
        "5", "A title that goes on.", "To see. Seen it.", (Section("AIM OF STUDY", 0, 7), Section("RESULTS", 8, 16))
    )
    assert (second.id, second.text) == ("6", "")


def test_ris(tmp_path):
    text = "TY  - JOUR\nAN  - 7\nTI  - T\nN2  - One. Two.\nER  - \n\nTY  - JOUR\nT1  - U\nER  - \n"
    first, second = read_abstracts(write(tmp_path, "a.ris", text))
    assert (first.id, first.title, first.text) == ("7", "T", "One. Two.")
    assert (second.id, second.title) == ("a-2", "U")


def test_tables_and_own_column_names(tmp_path):
    path = write(tmp_path, "a.tsv", 'PMID\tTitle\tBody\n9\tT\t"Two\nlines."\n')
    assert list(read_abstracts(path, columns={"abstract": "body"})) == [
        Abstract("9", "T", "Two lines.", (Section(None, 0, 10),))
    ]


def test_plain_text_keeps_its_lines(tmp_path):
    assert next(read_abstracts(write(tmp_path, "note.txt", "One.\nTwo.\n"))).text == "One.\nTwo."


def test_the_sample_is_the_same_in_three_formats():
    root = find_root("abstracts", sample=True)
    xml, nbib, jsonl = (list(read_abstracts(root / f"abstracts.{suffix}")) for suffix in ("xml", "nbib", "jsonl"))
    assert len(xml) >= 40
    assert xml == nbib == jsonl
    assert len({record.id for record in xml}) == len(xml)


def test_a_large_file_is_read_in_constant_memory(tmp_path):
    import tracemalloc

    record = XML.split("<PubmedArticleSet>")[1].split("</PubmedArticleSet>")[0]
    path = write(
        tmp_path, "big.xml.gz", gzip.compress(("<PubmedArticleSet>" + record * 3000 + "</PubmedArticleSet>").encode())
    )
    tracemalloc.start()
    count = sum(1 for _ in read_abstracts(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 6000
    assert peak < 3_000_000  # the records together are over ten times that


@pytest.mark.skipif(not os.environ.get("BIOUTILS_DATA"), reason="BIOUTILS_DATA names no folder with the real corpora")
def test_real_files():
    root = Path(os.environ["BIOUTILS_DATA"]) / "abstracts"
    counts = {path.name: len(list(read_abstracts(path))) for path in [*root.glob("*.xml"), *root.glob("*.nbib")]}
    assert counts["pubmed1.xml"] == 2
    assert counts["pubmed_result2.nbib"] == 4
    assert len(list(read_abstracts(root / "more" / "abstracts.jsonl.gz"))) == 2016
    export = list(read_abstracts(root / "more" / "pubmr-pubmed_result.xml.gz"))
    assert (len(export), sum(not record.text for record in export)) == (93, 1)
    assert json.loads((root / "pubmedqa-ori_pqal.json").read_text())
