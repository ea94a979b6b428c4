import os
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bioutils.corpora import project_data
from bioutils.corpora.archives import read_files
from bioutils.corpora.brat import read_brat
from bioutils.corpora.conversion import FORMATS, for_brat, for_mae, from_brat, kind_of, read, write
from bioutils.corpora.mae import parse, to_mae
from bioutils.corpora.records import Document, Link, Relation, Remark, Span
from bioutils.errors import UsageError

SAMPLE = project_data() / "sample" / "mae"
BRAT = Document(
    "a", "Aspirin binds COX1.",
    (Span("T1", "DRUG", ((0, 7),), "Aspirin"), Span("T2", "GENE", ((14, 18),), "COX1"), Span("T3", "Act", ((8, 13),), "binds")),
    (Relation("R1", "INHIBITS", "T1", "T2"),),
    (Link("E1", "Act", (("Act", "T3"), ("Theme", "T1"), ("Theme", "T2"))), Link("*2", "Equiv", (("", "T1"), ("", "T2")))),
    (Remark("A1", "Negation", "R1"), Remark("#1", "AnnotatorNotes", "T1", "sure of it")), "a",
)  # fmt: skip


def target(folder: Path, kind: str) -> Path:
    return folder / f"out-{kind}{FORMATS[kind]}"


@pytest.mark.parametrize("kind", ["mae", "brat", "bioc", "jsonl"])
@pytest.mark.parametrize("annotator", ["anna", "bo"])
def test_the_sample_comes_back_from_every_format(kind, annotator, tmp_path):
    files = {Path(name).stem: content for name, content in read_files(SAMPLE / annotator, (".xml",))}
    out = target(tmp_path, kind)
    lost = write(read(SAMPLE / annotator), out, kind=kind)
    assert lost == ({"names of the task": len(files)} if kind == "brat" else {})
    assert kind_of(out) == kind
    task = "Genomics_ConceptTask" if kind == "brat" else ""
    found = {d.id: to_mae(d, task=task) for d in read(out)}
    assert found == {name: content.decode() for name, content in files.items()}


def test_brat_as_such_stays_as_it_is(tmp_path):
    assert from_brat(for_brat(BRAT, Counter())) == BRAT
    write([BRAT], tmp_path / "brat", kind="brat")
    assert read(tmp_path / "brat") == [BRAT]
    write([BRAT], tmp_path / "a.json", kind="bioc")
    [found] = read(tmp_path / "a.json")
    assert replace(found, remarks=()) == replace(BRAT, remarks=())


def test_a_link_becomes_an_event_that_brat_can_show(tmp_path):
    spans = (Span("P0", "ACTION", ((0, 4),), "Loss"), Span("C0", "CONTEXT", ((8, 13),), "cells"))
    links = (Link("EN0", "LINKING", (("action", "P0"), ("context", "C0"))),)
    remarks = (Remark("P0.action", "action", "P0", "gene knockout"), Remark("C0.kind", "kind", "C0", "tumour"))
    document = Document("d", "Loss of cells", spans, (), links, remarks, "d")
    write([document], tmp_path / "brat", kind="brat")
    lines = (tmp_path / "brat" / "d.ann").read_text().splitlines()
    assert "E1\tLINKING:T1 action:T1 context:T2" in lines
    assert "A1\tkind T2 tumour" in lines
    assert "#1\taction T1\tgene knockout" in lines  # brat's attributes have no blanks
    [plain] = read_brat(tmp_path / "brat")
    assert {span.id for span in plain.spans} == {"T1", "T2"}
    [found] = read(tmp_path / "brat")
    assert (found.spans, found.links) == (spans, links)


def test_what_mae_has_no_place_for_is_counted_and_the_rest_is_kept():
    lost = Counter()
    found = for_mae(BRAT, lost)
    assert lost == {"notes on links and relations": 1}
    assert [link.members for link in found.links] == [
        (("Act", "T3"), ("Theme", "T1"), ("Theme2", "T2")),
        (("member", "T1"), ("member2", "T2")),
        (("Arg1", "T1"), ("Arg2", "T2")),
    ]
    again = parse(to_mae(found, task="T").encode(), name="a")
    assert (again.task, again.spans, again.links) == ("T", found.spans, found.links)


def test_links_without_members_and_line_breaks_are_counted(tmp_path):
    links = (Link("E1", "Act", ()), Link("E2", "Act", (("Act", "T3"), ("Cause", "E1"))), BRAT.links[0])
    links = (*links[:2], replace(links[2], id="E3"))
    remarks = (Remark("#1", "Note", "T1", "one\r\ntwo"), Remark("#2", "Note", "E2", "gone"))
    document = replace(BRAT, links=links, remarks=remarks)
    lost = write([document], tmp_path / "brat", kind="brat")
    assert lost == {
        "links without members, and what names them": 3, "notes whose line breaks are written as blanks": 1,
    }  # fmt: skip
    [found] = read(tmp_path / "brat")
    assert found.links == links[2:]
    assert found.remarks == (Remark("#1", "Note", "T1", "one two"),)
    lost = write([document], tmp_path / "mae", kind="mae")
    assert lost == {"links without members, and what names them": 3}
    [found] = read(tmp_path / "mae")
    assert [x.id for x in found.links] == ["E3", "R1"]
    assert found.remarks == (Remark("T1.Note", "Note", "T1", "one\r\ntwo"),)


@pytest.mark.parametrize("kind", ["mae", "brat", "bioc", "jsonl", "words"])
def test_the_abstract_is_kept_or_counted(kind, tmp_path):
    documents = [
        Document("s1", "One cell.", group="12"), Document("s2", "Two cells.", group="12"),
        Document("3_PMID12", "Three.", group="12"), Document("a b", "Four.", group="a b"),
    ]  # fmt: skip
    lost = write(documents, target(tmp_path, kind), kind=kind)
    found = sorted(d.group for d in read(target(tmp_path, kind)))
    if kind in ("bioc", "jsonl"):
        assert (lost, found) == ({}, ["12", "12", "12", "a b"])
    else:
        assert lost == {"abstracts that documents are of, not seen from their names": 2}
        assert found[0] == "12"
        assert found[-2:] == ["s1", "s2"]


@pytest.mark.parametrize("kind", ["mae", "brat", "bioc", "jsonl", "words"])
def test_the_task_comes_back_or_is_counted(kind, tmp_path):
    lost = write([replace(BRAT, links=(), relations=(), remarks=(), task="Drugs")], target(tmp_path, kind), kind=kind)
    has_place = kind in ("mae", "bioc", "jsonl")
    assert lost.get("names of the task", 0) == (not has_place)
    documents = read(target(tmp_path, kind))
    assert documents[0].task == ("Drugs" if has_place else "")
    write(documents, tmp_path / "again", kind="mae")
    assert "<Drugs>" in (tmp_path / "again" / "a.xml").read_text() or not has_place
    write(documents, tmp_path / "named", kind="mae", task="Other")
    assert "<Other>" in (tmp_path / "named" / "a.xml").read_text()
    write(documents, tmp_path / "none.jsonl", kind="jsonl", task="Annotation")
    assert read(tmp_path / "none.jsonl")[0].task == ""


def test_nothing_is_overwritten_or_guessed(tmp_path):
    with pytest.raises(UsageError, match="Expected input"):
        read(tmp_path / "none")
    (tmp_path / "mixed").mkdir()
    for name in ("a.xml", "b.ann"):
        (tmp_path / "mixed" / name).touch()
    with pytest.raises(UsageError, match="both"):
        kind_of(tmp_path / "mixed")
    with pytest.raises(UsageError, match="exists"):
        write([BRAT], tmp_path / "mixed", kind="brat")
    with pytest.raises(UsageError, match="holds more than files of brat"):
        write([BRAT], tmp_path / "mixed", kind="brat", overwrite=True)
    with pytest.raises(UsageError, match=r"ends in \.jsonl"):
        write([BRAT], tmp_path / "a.txt", kind="jsonl")
    with pytest.raises(UsageError, match="called 'a_b'"):
        write([replace(BRAT, id="a/b"), replace(BRAT, id="a:b")], tmp_path / "two", kind="brat")
    assert not (tmp_path / "two").exists()


@pytest.mark.skipif("BIOUTILS_DATA" not in os.environ, reason="BIOUTILS_DATA is not set")
@pytest.mark.parametrize("kind", ["brat", "bioc", "jsonl"])
def test_every_real_file_comes_back(kind, tmp_path):
    archive = Path(os.environ["BIOUTILS_DATA"]) / "fgen" / "mae-xml.tar.gz"
    folders: dict[str, list[tuple[str, bytes]]] = {}
    for name, content in read_files(archive, (".xml",)):
        folders.setdefault(str(Path(name).parent), []).append((Path(name).stem, content))
    n = 0
    for folder, files in folders.items():
        documents = [parse(content, name=name) for name, content in files]
        out = target(tmp_path / folder, kind)
        assert set(write(documents, out, kind=kind)) == ({"names of the task"} if kind == "brat" else set())
        found = {d.id: to_mae(d, task="T") for d in read(out)}
        assert found == {d.id: to_mae(d, task="T") for d in documents}
        n += len(found)
    assert n == 1688


def test_an_archive(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(SAMPLE / "bo", arcname="bo")
    assert kind_of(tmp_path / "a.tar.gz") == "mae"
    assert read(tmp_path / "a.tar.gz", under="bo/") == read(SAMPLE / "bo")
