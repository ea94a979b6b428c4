import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioutils.corpora.records import (
    Document,
    Link,
    Relation,
    Remark,
    Span,
    check_documents,
    counts,
    problems,
    read_jsonl,
    slice_of,
    write_jsonl,
)
from bioutils.errors import DataError

NAMES = st.text(string.ascii_letters + "_-", min_size=1, max_size=8)


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@st.composite
def documents(draw, text=ANY_TEXT):
    """Sound documents: any text, spans of one or more pieces, relations, events and remarks among them."""
    body = draw(text)
    spans = []
    for number in range(draw(st.integers(0, 4))):
        cuts = sorted(draw(st.lists(st.integers(0, len(body)), min_size=2, max_size=4, unique=True)))
        pieces = tuple(zip(cuts[::2], cuts[1::2], strict=False))
        if slice_of(body, pieces).strip():
            spans.append(Span(f"T{number + 1}", draw(NAMES), pieces, slice_of(body, pieces)))
    ids = [span.id for span in spans]
    ends = st.sampled_from(ids) if ids else st.nothing()
    relations = [
        Relation(f"R{i + 1}", draw(NAMES), draw(ends), draw(ends)) for i in range(draw(st.integers(0, 2)) if ids else 0)
    ]
    links = (
        [Link("E1", kind, ((kind, draw(ends)), ("Theme", draw(ends)))) for kind in [draw(NAMES)]]
        if len(ids) > 1
        else []
    )
    remarks = (
        [Remark("#1", "AnnotatorNotes", draw(ends), draw(st.text(string.ascii_letters + " ", max_size=9)))]
        if ids
        else []
    )
    return Document(f"d{draw(st.integers(0, 9))}", body, tuple(spans), tuple(relations), tuple(links), tuple(remarks))


@given(document=documents())
def test_what_is_sound_has_no_problem(document):
    assert problems(document) == []


@given(found=st.lists(documents(), max_size=4, unique_by=lambda d: d.id))
def test_json_lines_keep_everything(found, tmp_path_factory):
    path = tmp_path_factory.mktemp("jsonl") / "documents.jsonl"
    write_jsonl(found, path)
    if found:
        assert read_jsonl(path) == found


SOUND = Document("d", "zinc binds PKC", (Span("T1", "C", ((0, 4),), "zinc"), Span("T2", "G", ((11, 14),), "PKC")))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"spans": (Span("T1", "C", ((0, 4),), "iron"),)}, "T1 is given as 'iron', but the text at [(0, 4)] is 'zinc'"),
        ({"spans": (Span("T1", "C", ((0, 40),), "zinc"),)}, "does not lie inside the text of 14 characters"),
        ({"spans": (Span("T1", "C", ((4, 4),), ""),)}, "does not lie inside"),
        ({"spans": (Span("T1", "C", ((4, 5),), " "),)}, "T1 at [(4, 5)] holds white space alone"),
        ({"spans": (Span("T1", "C", (), ""),)}, "T1 has no piece of text"),
        ({"spans": (SOUND.spans[0], SOUND.spans[0])}, "the id T1 stands 2 times"),
        ({"relations": (Relation("R1", "binds", "T1", "T9"),)}, "R1 (binds) names T9, which is not there"),
        ({"links": (Link("E1", "binds", (("binds", "T8"),)),)}, "E1 (binds) names T8"),
        ({"remarks": (Remark("#1", "Note", "R7"),)}, "#1 is about R7"),
    ],
)
def test_each_kind_of_problem(change, problem):
    from dataclasses import replace

    assert any(problem in found for found in problems(replace(SOUND, **change)))


def test_all_offenders_are_named_at_once():
    bad = [Document(f"d{i}", "ab", (Span("T1", "C", ((0, 1),), "x"),)) for i in range(25)]
    with pytest.raises(DataError, match=r"25 faults(.|\n)*d19: (.|\n)*and 5 more"):
        check_documents(bad, source="corpus")
    with pytest.raises(DataError, match="the document d is there more than once"):
        check_documents([SOUND, SOUND], source="corpus")


def test_counts():
    found = counts([SOUND])
    assert (found["documents"], found["spans"], found["span C"], found["discontinuous"]) == (1, 2, 1, 0)


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "d.jsonl"
    write_jsonl([SOUND], path)
    path.write_text(path.read_text() + '{"id": "e"}\n')
    with pytest.raises(DataError, match=r"d.jsonl:2: Not a document"):
        read_jsonl(path)
