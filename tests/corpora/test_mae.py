import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioutils.corpora import project_data
from bioutils.corpora.archives import read_files
from bioutils.corpora.mae import parse, read_mae, to_mae, write_mae
from bioutils.corpora.records import Document, Link, Relation, Remark, Span, slice_of
from bioutils.errors import DataError, UsageError

TEXT = "Loss of p53\nslows growth."
TAGS = """<GENE id="G0" spans="8~11" text="p53" kind="suppressor" sure="yes" />
<EFFECT id="E0" spans="12~17,0~4" text="slows ... Loss" effect="" />
<LINKING id="L0" geneID="G0" geneText="p53" effectID="E0" effectText="slows ... Loss" otherID="" otherText="" />"""


def file(text: str = TEXT, tags: str = TAGS, task: str = "Task", before: str = "") -> bytes:
    return f"{before}<{task}><TEXT><![CDATA[{text}]]></TEXT><TAGS>{tags}</TAGS></{task}>".encode()


def test_tags_values_and_links(tmp_path):
    (tmp_path / "1_PMID77.txt_AB.xml").write_bytes(file())
    [found] = read_mae(tmp_path)
    assert found == Document(
        "1_PMID77.txt_AB",
        TEXT,
        (Span("G0", "GENE", ((8, 11),), "p53"), Span("E0", "EFFECT", ((12, 17), (0, 4)), "slows Loss")),
        (),
        (Link("L0", "LINKING", (("gene", "G0"), ("effect", "E0"))),),
        (
            Remark("G0.kind", "kind", "G0", "suppressor"),
            Remark("G0.sure", "sure", "G0", "yes"),
            Remark("E0.effect", "effect", "E0", ""),
        ),
        "77",
        "Task",
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (file()[:-9], "Not XML"),
        (file(tags='<GENE id="G0" spans="8~99" text="p53" />'), "does not lie inside the text"),
        (file(tags='<GENE id="G0" spans="8-11" text="p53" />'), "spans='8-11' are no places"),
        (file(tags='<GENE id="G0" spans="8~11" text="p54" />'), "given as 'p54', but the text .* is 'p53'"),
        (file(tags='<GENE spans="8~11" text="p53" />'), "GENE has no id"),
        (file(tags=TAGS.replace('geneID="G0"', 'geneID="G7"')), "L0 .* names G7, which is not there"),
        (file(tags=TAGS + '<GENE id="G0" spans="0~4" text="Loss" />'), "id G0 stands 2 times"),
        (b"<Task><TEXT>a</TEXT></Task>", "No TAGS under Task"),
        (b"<Task><TEXT>a <i>b</i> c</TEXT><TAGS/></Task>", "a.xml: Expected TEXT to be text alone, found '<i> in it'"),
        (
            file(before="<?xml version='1.0'?>\n<!DOCTYPE Other>"),
            r"a.xml:2: The DOCTYPE names the task 'Other', the .* 'Task'",
        ),
        (
            file(tags='\n<GENE id="G0" span="8~11" />'),
            r"a.xml:3: Expected GENE G0 to be a tag with spans, or a link .*, found \['id', 'span'\]",
        ),
        (file(before='<!DOCTYPE Task [<!ENTITY x "boom">]>'), "entities is not read"),
    ],
)
def test_broken_files(content, message, tmp_path):
    (tmp_path / "a.xml").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_mae(tmp_path)


def test_files_of_two_tasks_are_not_one_corpus(tmp_path):
    (tmp_path / "a.xml").write_bytes(file())
    (tmp_path / "b.xml").write_bytes(file(task="Other"))
    with pytest.raises(DataError, match=r"b.xml: The task is 'Other', not 'Task'"):
        read_mae(tmp_path)
    with pytest.raises(DataError, match=r"a.xml: The task is 'Task', not 'Other'"):
        read_mae(tmp_path, task="Other")
    assert [d.id for d in read_mae(tmp_path / "b.xml")] == ["b"]


@st.composite
def documents(draw):
    text = draw(
        st.text(
            st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]) | st.sampled_from("\n\r\t<&>\"']"), min_size=3
        )
    )
    text = text.replace("\ufffe", "").replace("\uffff", "") + "abc"
    places = st.tuples(st.integers(0, len(text) - 1), st.integers(1, 5)).map(lambda p: (p[0], min(len(text), sum(p))))
    spans, remarks = [], []
    for i, pieces in enumerate(draw(st.lists(st.lists(places, min_size=1, max_size=3), max_size=4))):
        spans.append(Span(f"T{i}", draw(st.sampled_from(["A", "B"])), tuple(pieces), slice_of(text, pieces)))
        value = draw(st.text(st.characters(categories=["L", "P", "Zs"]) | st.sampled_from("\n\t\r")))
        remarks.append(Remark(f"T{i}.label", "label", f"T{i}", value))
    links = (Link("L", "LINK", (("a", "T0"), ("b", "T1"))),) if len(spans) > 1 else ()
    return Document("x", text, tuple(spans), (), links, tuple(remarks), "x", "Task")


@given(documents())
def test_what_is_written_is_read_again(document):
    assert parse(to_mae(document).encode(), name="x") == document


def test_a_doctype_that_agrees_is_no_fault():
    assert parse(file(before="<!-- <!DOCTYPE Other> --><!DOCTYPE Task>"), name="a").task == "Task"


def test_a_link_may_have_empty_slots_only():
    [link] = parse(file(tags='<LINKING id="L0" geneID="" geneText="" />'), name="a").links
    assert link == Link("L0", "LINKING", ())


GENE = Document("n1", TEXT, (Span("G", "GENE", ((8, 11),), "p53"),), group="n1", task="Task")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"spans": (Span("G", "cell line", ((8, 11),), "p53"),)},
            "n1: G to be written with names of XML .* found 'cell line'",
        ),
        ({"spans": (Span("G", "a:b", ((8, 11),), "p53"),)}, "found 'a:b'"),
        ({"spans": (Span("G", "Xmlns", ((8, 11),), "p53"),)}, "found 'Xmlns'"),
        ({"remarks": (Remark("1", "cell id", "G", "x"),)}, "found 'cell id'"),
        ({"links": (Link("L", "LINK", (("a b", "G"),)),)}, "n1: L to be .* found 'a bID'"),
        ({"links": (Link("L", "LINK", ()),)}, r"n1: L to be a link with members"),
        ({"links": (Link("L", "LINK", (("a", "G"), ("a", "G"))),)}, r"each in a role of its own"),
        ({"remarks": (Remark("1", "sure", "G", "a\0b"),)}, r"n1: the character '\\x00' at 1 of 'a\\x00b' has no place"),
        ({"remarks": (Remark("1", "sure", "G", "\ud800"),)}, "no place in XML"),
        ({"remarks": (Remark("1", "spans", "G", "x"),)}, "n1: 1 to be a value of a tag, .* found 'spans of G'"),
        ({"remarks": (Remark("1", "a", "G"), Remark("2", "a", "G"))}, "n1: 2 to be a value"),
    ],
)
def test_what_mae_cannot_hold_is_refused(change, message):
    with pytest.raises(DataError, match=message):
        to_mae(replace(GENE, **change))


@pytest.mark.parametrize("task", ["Foo_Bar!", "two words", "1st", "xmlTask"])
def test_a_task_that_is_no_name_is_a_wrong_call(task):
    with pytest.raises(UsageError, match="Expected task to be a name in XML, found"):
        to_mae(GENE, task=task)


def test_line_ends_and_tabs_come_back():
    text = "a\r\nb\rc]]>\td p53"
    values = (Remark("G.note", "note", "G", "one\r\ntwo\tthree\rfour "),)
    document = Document("x", text, (Span("G", "GENE", ((12, 15),), "p53"),), (), (), values, "x", "Task")
    assert parse(to_mae(document).encode(), name="x") == document


def test_the_documents_tell_their_task(tmp_path):
    write_mae([GENE, replace(GENE, id="n2", task="")], tmp_path / "a")
    assert {d.task for d in read_mae(tmp_path / "a")} == {"Task"}
    write_mae([replace(GENE, task="")], tmp_path / "b")
    assert "<Annotation>" in (tmp_path / "b" / "n1.xml").read_text()
    assert {d.task for d in read_mae(tmp_path / "b")} == {""}  # a placeholder, which may be compared with any task
    with pytest.raises(UsageError, match=r"of one task, found Task \(n1\), Other \(n2\)"):
        write_mae([GENE, replace(GENE, id="n2", task="Other")], tmp_path / "c")
    write_mae([GENE, replace(GENE, id="n2", task="Other")], tmp_path / "c", task="Third")
    assert {d.task for d in read_mae(tmp_path / "c")} == {"Third"}


def test_a_folder_is_written_and_read(tmp_path):
    write_mae([GENE], tmp_path, task="Task")
    assert read_mae(tmp_path) == [GENE]
    with pytest.raises(DataError, match="no relations"):
        write_mae([Document("r", "ab", relations=(Relation("R", "x", "a", "b"),))], tmp_path, task="Task")
    with pytest.raises(DataError, match=r"'\\x00' at 1"):
        write_mae([Document("r", "a\0b")], tmp_path, task="Task")
    assert [p.name for p in tmp_path.iterdir()] == ["n1.xml"]


def test_the_sample_has_two_annotators():
    folder = project_data() / "sample" / "mae"
    anna, bo = (read_mae(folder, under=f"{name}/", task="Genomics_ConceptTask") for name in ("anna", "bo"))
    assert (len(anna), len(bo)) == (60, 20)
    texts = {document.group: document.text for document in anna}
    assert all(texts[document.group] == document.text for document in bo)
    types = {"PERTURBING_ACTION", "CONTEXT", "EFFECT", "PHENOTYPE"}
    assert {span.type for document in (*anna, *bo) for span in document.spans} == types
    assert {len(link.members) for document in anna for link in document.links} == {4}


@pytest.fixture
def real() -> Path:
    archive = Path(os.environ.get("BIOUTILS_DATA", "")) / "fgen" / "mae-xml.tar.gz"
    if not archive.is_file():
        pytest.skip("BIOUTILS_DATA has no fgen")
    return archive


def test_real_counts(real):
    folders = {
        "Marked Entities No Linking": (363, {"CONTEXT": 905, "EFFECT": 583, "PERTURBING_ACTION": 445}, 0),
        "Marked and Linked Entities": (219, {"CONTEXT": 900, "PERTURBING_ACTION": 799, "EFFECT": 732}, 555),
        "No Marked Entities": (218, {}, 0),
        "V2 Marked Entities No Linking": (
            414, {"CONTEXT": 1322, "PHENOTYPE": 644, "EFFECT": 552, "PERTURBING_ACTION": 471}, 0,
        ),
        "V2 Marked and Linked Entities": (
            163, {"CONTEXT": 745, "PERTURBING_ACTION": 580, "PHENOTYPE": 479, "EFFECT": 450}, 364,
        ),
        "V2 No Marked Entities": (211, {}, 0),
    }  # fmt: skip
    for folder, expected in folders.items():
        found = read_mae(real, under=f"/{folder}/")
        types = Counter(span.type for document in found for span in document.spans)
        assert (len(found), dict(types), sum(len(d.links) for d in found)) == expected


def test_real_annotators(real):
    copies = [read_mae(real, under=f"IAA calculation/{annotator}/") for annotator in ("CC2", "HZ")]
    assert [len(found) for found in copies] == [50, 50]
    assert len({document.group for found in copies for document in found}) == 50
    types = Counter(span.type for found in copies for document in found for span in document.spans)
    assert types == {"CONTEXT": 404, "PHENOTYPE": 289, "EFFECT": 283, "PERTURBING_ACTION": 127}
    assert sum(len(document.links) for found in copies for document in found) == 45


def test_real_files_are_written_as_they_are(real):
    for name, content in read_files(real, (".xml",)):
        assert to_mae(parse(content, name=name)).encode() == content, name
