import io
import tarfile
import zipfile
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioutils.corpora import brat
from bioutils.corpora.brat import parse, read_brat, to_ann, write_brat
from bioutils.corpora.records import Document, Link, Relation, Remark, Span
from bioutils.errors import DataError
from tests.corpora.test_records import documents

TEXT = "CYP2C9*2 and *3 lower the clearance of warfarin."
ANN = """T1\tHaplotype 0 8\tCYP2C9*2
T2\tHaplotype 0 6;13 15\tCYP2C9 *3
T3\tChemical 39 47\twarfarin
T4\tCue 16 21\tlower
R1\tdecreases Arg1:T1 Arg2:T3\t
E1\tLower:T4 Agent:T2 Theme:T3
A1\tNegation R1
M1\tCertainty E1 high
N1\tReference T3 Drugs:D1\tWarfarin
*\tEquiv T1 T2
#1\tAnnotatorNotes R1\tneg
"""


def test_every_kind_of_line():
    found = parse(TEXT, [("a.ann", ANN)], id="a", group="g")
    assert found == Document(
        "a", TEXT,
        (Span("T1", "Haplotype", ((0, 8),), "CYP2C9*2"), Span("T2", "Haplotype", ((0, 6), (13, 15)), "CYP2C9 *3"),
         Span("T3", "Chemical", ((39, 47),), "warfarin"), Span("T4", "Cue", ((16, 21),), "lower")),
        (Relation("R1", "decreases", "T1", "T3"),),
        (Link("E1", "Lower", (("Lower", "T4"), ("Agent", "T2"), ("Theme", "T3"))), Link("*2", "Equiv", (("", "T1"), ("", "T2")))),
        (Remark("A1", "Negation", "R1"), Remark("M1", "Certainty", "E1", "high"),
         Remark("N1", "Reference", "T3", "Drugs:D1\tWarfarin"), Remark("#1", "AnnotatorNotes", "R1", "neg")), "g",
    )  # fmt: skip
    again = parse(TEXT, [("a.ann", to_ann(found))], id="a", group="g")
    assert (again.spans, again.relations, again.remarks) == (found.spans, found.relations, found.remarks)
    assert {(x.type, x.members) for x in again.links} == {(x.type, x.members) for x in found.links}


# brat has no way to write a line break inside a span; everything else comes back.
PLAIN = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=60)


@given(found=st.lists(documents(text=PLAIN), min_size=1, max_size=3, unique_by=lambda d: d.id))
def test_writing_and_reading_give_the_same(found, tmp_path_factory):
    folder = tmp_path_factory.mktemp("brat")
    write_brat(found, folder)
    assert read_brat(folder, group=lambda name: "") == sorted(found, key=lambda d: d.id)


def test_several_files_a_document_and_archives(tmp_path):
    lines = ANN.splitlines(keepends=True)
    files = {
        "x/a.txt": TEXT,
        "x/a.a1": "".join(lines[:4]),
        "x/a.a2": "".join(lines[4:5]),
        "x/._a.txt": "junk",
        "x/notes.md": "x",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        for name, content in files.items():
            archive.writestr(name, content)
            info = tarfile.TarInfo(name)
            info.size = len(content.encode())
            tar.addfile(info, io.BytesIO(content.encode()))
    wanted = read_brat(tmp_path / "x")
    assert [len(wanted[0].spans), len(wanted[0].relations)] == [4, 1]
    assert read_brat(tmp_path / "a.zip") == read_brat(tmp_path / "a.tar.gz") == wanted
    assert read_brat(tmp_path, under="x/") == wanted


@pytest.mark.parametrize("counted_once", [True, False])
def test_windows_line_ends(counted_once):
    text = "zinc binds\r\nPKC here"
    start = 11 if counted_once else 12
    found = parse(text, [("a.ann", f"T1\tGene {start} {start + 3}\tPKC\r\n")], id="a")
    assert found.spans[0].text == "PKC" == found.text[found.spans[0].start : found.spans[0].end]


def test_trailing_blanks_of_the_text_column_are_no_fault():
    found = parse("BAG-1 gene", [("a.ann", "T1\tGene 0 5\tBAG-1 \n")], id="a")
    assert found.spans[0].text == "BAG-1"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("T1\tGene 0 x\tPKC", "a.ann:2: Not brat"),
        ("T1\tGene 0 3", "expected three columns"),
        ("R1\tbinds Arg1:T1", "expected two arguments"),
        ("E1\tbinds:T1 T2", "expected Role:Id"),
        ("X1\twhat", "a line of brat begins with"),
        ("T7\tGene 0 99\tzinc", "does not lie inside the text"),
        ("T7\tGene 0 4\tiron", "T7 is given as 'iron'"),
        ("R1\tbinds Arg1:T1 Arg2:T9", "names T9, which is not there"),
    ],
)
def test_a_bad_line_is_one_clear_error(line, message, tmp_path):
    (tmp_path / "a.txt").write_text("zinc binds PKC")
    (tmp_path / "a.ann").write_text(f"T1\tChemical 0 4\tzinc\n{line}\n")
    with pytest.raises(DataError, match=message):
        read_brat(tmp_path)


def test_bad_folders_and_bytes(tmp_path):
    with pytest.raises(DataError, match="No such file or folder"):
        read_brat(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"Expected files that end in \.txt.*found none"):
        read_brat(tmp_path)
    (tmp_path / "a.ann").write_text("T1\tGene 0 3\tPKC\n")
    with pytest.raises(DataError, match=r"1 without the \.txt that it annotates.*a\.ann"):
        read_brat(tmp_path)
    (tmp_path / "a.txt").write_bytes("PKC\ncaf\xe9".encode("latin1"))
    with pytest.raises(DataError, match=r"a\.txt:2: Not UTF-8 \(byte 0xe9\)"):
        read_brat(tmp_path)
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(DataError, match=r"b\.zip: The archive cannot be read"):
        read_brat(tmp_path / "b.zip")


def test_an_archive_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("bioutils.corpora.archives.MOST", 10)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", "0" * 1000)
    with pytest.raises(DataError, match="would take 1,000 bytes"):
        read_brat(tmp_path / "a.zip")


@pytest.mark.parametrize("name", ["../up", "", "a/b"])
def test_an_id_never_leads_out_of_the_folder(name, tmp_path):
    with pytest.raises(DataError, match="cannot be a file's name"):
        write_brat([Document(name, "text")], tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_type_that_brat_cannot_hold(tmp_path):
    with pytest.raises(DataError, match="cannot be a type"):
        brat.to_ann(Document("a", "zinc", (Span("T1", "two words", ((0, 4),), "zinc"),)))


ZINC = Document("a", "zinc", (Span("T1", "C", ((0, 4),), "zinc"),))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"remarks": (Remark("#1", "Note", "T1", "one\ntwo"),)}, r"a: #1 to be a value on one line, found 'one\\ntwo'"),
        ({"remarks": (Remark("N1", "Reference", "T1", "D:1\tone\rtwo"),)}, "a: N1 to be a value on one line"),
        ({"remarks": (Remark("A1", "Sure", "T1", "very\tmuch"),)}, "a: A1 to be a value on one line, without a tab"),
        ({"links": (Link("E1", "Binds", ()),)}, "a: E1 to be a link with members"),
    ],
)
def test_what_a_line_cannot_hold_is_refused(change, message):
    with pytest.raises(DataError, match=message):
        to_ann(replace(ZINC, **change))


def test_a_note_may_have_tabs():
    document = replace(ZINC, remarks=(Remark("#1", "Note", "T1", "one\ttwo"),))
    assert parse("zinc", [("a.ann", to_ann(document))], id="a") == document
