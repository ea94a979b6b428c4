import gzip
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bioutils.corpora import obo
from bioutils.errors import DataError, UsageError

OBO = """format-version: 1.2
data-version: releases/2026-01-01
default-namespace: biological_process

[Term]
id: GO:0000001
name: root
def: "The top of all." [GOC:x, PMID:1]

[Term]
id: GO:0000002
name: growth
namespace: biological_process
def: "Getting \\"bigger\\"\\, by parts." [GOC:x]
is_a: GO:0000001 ! root
relationship: part_of GO:0000004 ! membrane

[Term]
id: GO:0000003
name: obsolete thing
namespace: biological_process
def: "OBSOLETE. Gone." []
is_obsolete: true

[Term]
id: GO:0000004
name: membrane
namespace: cellular_component
def: "A sheet of lipids." []

[Term]
id: GO:0000005
name: slow growth
is_a: GO:0000002 ! growth

[Term]
id: CHEBI:1
name: water
namespace: chebi_ontology
def: "H2O." []

[Typedef]
id: part_of
name: part of
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "go.obo"
    path.write_text(OBO)
    return path


def test_graph_counts_what_it_leaves_out(path):
    graph = obo.read_graph(path)
    assert sorted(graph) == ["GO:0000001", "GO:0000002", "GO:0000004", "GO:0000005"]
    facts = {key: graph.graph[key] for key in ("data-version", "n_obsolete", "n_foreign", "n_stubs", "n_lost_is_a")}
    assert facts == {
        "data-version": "releases/2026-01-01", "n_obsolete": 1, "n_foreign": 1, "n_stubs": 0, "n_lost_is_a": 0
    }  # fmt: skip


def test_edges_that_lead_nowhere_are_counted(path):
    path.write_text(OBO.replace("is_a: GO:0000002 ! growth", "is_a: GO:0000003\nis_a: GO:0000099\nis_a: CHEBI:1"))
    graph = obo.read_graph(path)
    assert list(graph.edges(keys=True)) == [
        ("GO:0000002", "GO:0000001", "is_a"),
        ("GO:0000002", "GO:0000004", "part_of"),
    ]
    assert (graph.graph["n_lost_is_a"], graph.graph["n_stubs"]) == (3, 1)


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_batches_change_nothing(path, batch, monkeypatch):
    monkeypatch.setattr(obo, "BATCH", batch)
    graph = obo.read_graph(path)
    assert list(graph) == ["GO:0000001", "GO:0000002", "GO:0000004", "GO:0000005"]
    assert sorted(graph.edges(keys=True)) == [
        ("GO:0000002", "GO:0000001", "is_a"),
        ("GO:0000002", "GO:0000004", "part_of"),
        ("GO:0000005", "GO:0000002", "is_a"),
    ]
    assert [t["id"] for t in graph.graph["typedefs"]] == ["part_of"]
    assert graph.graph["n_stubs"] == 0


def test_table_by_hand(path):
    table = obo.term_table(obo.read_graph(path))
    assert table.values.tolist() == [
        ["GO:0000001", "root", "biological_process", "The top of all.", 4, 0, 0, 1],
        ["GO:0000002", "growth", "biological_process", 'Getting "bigger", by parts.', 4, 1, 1, 1],
        ["GO:0000004", "membrane", "cellular_component", "A sheet of lipids.", 4, 0, 0, 0],
    ]
    assert table.attrs["n_undefined"] == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n\n[Term]", "\n[Term]"),
        lambda text: text.replace("name: membrane\n", "\n! a remark\nname: membrane\n  \n"),
        lambda text: "! written by hand\n" + text.replace("data-version", "\ndata-version"),
        lambda text: text.replace("part_of GO", "part_of   GO").replace(" ! root", ' {source="x"} ! root'),
        lambda text: "\ufeff" + text.rstrip("\n"),
    ],
)
def test_layout_means_nothing(path, change):
    table, version = obo.term_table(obo.read_graph(path)), "releases/2026-01-01"
    path.write_text(change(OBO))
    graph = obo.read_graph(path)
    assert obo.term_table(graph).equals(table)
    assert graph.graph["data-version"] == version
    assert graph.number_of_edges() == 3


def test_an_exclamation_mark_does_not_end_a_definition(path):
    path.write_text(OBO.replace("A sheet of lipids.", r"A sheet ! of {two} lipids \\! or \! more."))
    table = obo.term_table(obo.read_graph(path)).set_index("go_id")
    assert table.loc["GO:0000004", "definition"] == "A sheet ! of {two} lipids \\! or ! more."


def test_broader_terms_follow_is_a_only(path):
    assert obo.broader_terms(obo.read_graph(path), "GO:0000005") == {"GO:0000002", "GO:0000001"}


def test_broader_terms_of_an_unknown_id(path):
    with pytest.raises(UsageError, match="GO:9999999"):
        obo.broader_terms(obo.read_graph(path), "GO:9999999")


def test_gzip_and_windows_line_ends_give_the_same(path, tmp_path):
    packed = tmp_path / "go.obo.gz"
    packed.write_bytes(gzip.compress(OBO.replace("\n", "\r\n").encode()))
    assert obo.term_table(obo.read_graph(packed)).equals(obo.term_table(obo.read_graph(path)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("namespace: cellular_component", "namespace: cellular"), r"go\.obo:\d+: .*GO:0000004.*'cellular'"),
        (lambda text: text.replace("id: GO:0000004\n", ""), r"go\.obo:25: a term without an id"),
        (lambda text: text.replace("name: membrane\n", ""), r"go\.obo:25: the term GO:0000004 has a definition and no name"),
        (lambda text: text.replace("\n[Term]\nid: GO:0000004", "id: GO:0000004"), r"go\.obo:24: a second `id:` in the term of line 18"),
        (lambda text: text[: text.index(" of all.")], r"go\.obo:8: broken `def:`"),
        (lambda text: text[: text.index("2 ! growth")], r"go\.obo:34: broken `is_a:`"),
        (lambda text: text.replace("part_of GO:0000004 ! membrane", "part_of"), r"go\.obo:16: broken `relationship:`"),
        (lambda text: text + "\n[Annotation]\nid: x\n", r"go\.obo:46: none of \[Term\]"),
        (lambda text: text.replace("id: GO:0000004", "id: GO:0000002"), r"go\.obo:\d+: the id GO:0000002 was defined before"),
        (lambda text: text.replace("is_obsolete: true", "is_obsolete"), r"go\.obo:23: no `tag: value`"),
        (lambda text: "\n".join(line for line in text.split("\n") if not line.startswith("def:")), "none.*definitions|definitions.*none"),
        (lambda text: "<html>not found</html>", r"go\.obo:1: Not an OBO file"),
        (lambda text: text.split("[Term]")[0], r"\[Term\] stanzas, found none"),
        (lambda text: text.replace("def: \"The top of all.\" [GOC:x, PMID:1]", "is_a: GO:0000005"), "circle"),
    ],
)  # fmt: skip
def test_a_bad_file_is_one_clear_error(path, change, message):
    path.write_text(change(OBO))
    with pytest.raises(DataError, match=message):
        obo.term_table(obo.read_graph(path))


def test_missing_namespace_without_a_default(path):
    path.write_text(OBO.replace("default-namespace: biological_process\n", ""))
    with pytest.raises(DataError, match="GO:0000001.*None"):
        obo.read_graph(path)


def test_bytes_that_are_no_utf8(path):
    path.write_bytes(OBO.encode() + b"[Term]\nid: GO:7\nname: caf\xe9\n")
    with pytest.raises(DataError, match=r"go\.obo:\d+: Not UTF-8"):
        obo.read_graph(path)


def test_gzip_cut_short(tmp_path):
    path = tmp_path / "go.obo.gz"
    path.write_bytes(gzip.compress(OBO.encode())[:-30])
    with pytest.raises(DataError, match="cut short"):
        obo.read_graph(path)


def test_the_older_dialect(path):
    path.write_text(
        OBO.replace('def: "A sheet of lipids." []', 'def: "A sheet of lipids." []\nexact_synonym: "film" []')
    )
    assert len(obo.term_table(obo.read_graph(path))) == 3


def test_offenders_come_together_up_to_ten(path):
    path.write_text(OBO + "".join(f"\n[Term]\nid: GO:1{i}\n" for i in range(12)))
    with pytest.raises(DataError) as caught:
        obo.read_graph(path)
    lines = str(caught.value).split("\n")
    assert [line.split(": ")[0] for line in lines[:10]] == [f"{path}:{47 + 3 * i}" for i in range(10)]
    assert lines[10:] == ["… and 2 more", "Mend these lines or fetch the file again."]
    assert caught.value.line == 47


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_is_lost_or_swapped_no_other_error_comes_out(tmp_path_factory, data):
    lines = OBO.split("\n")
    for _ in range(data.draw(st.integers(1, 3))):
        i, j = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        lines[i] = data.draw(
            st.sampled_from(["", lines[j], lines[i][: len(lines[i]) // 2], lines[i] + " x", lines[i][::-1]])
        )
    text = "\n".join(lines)
    path = tmp_path_factory.mktemp("damaged") / "go.obo"
    path.write_text(text[: data.draw(st.integers(1, len(text)))])
    with suppress(DataError):
        table = obo.term_table(obo.read_graph(path))
        assert set(table["aspect"]) <= set(obo.ASPECTS)
        assert table["go_id"].is_unique


def test_names_and_synonyms(tmp_path):
    path = tmp_path / "go.obo"
    synonyms = (
        'synonym: "Growth" EXACT []\nsynonym: "getting \\"big\\"" BROAD [X:1]\nsynonym: "odd" NARROW SYSTEMATIC []\n'
    )
    path.write_text(OBO.replace("name: growth\n", "name: growth\n" + synonyms))
    table = obo.name_table(obo.read_graph(path))
    rows = table[table["go_id"] == "GO:0000002"]
    assert rows[["kind", "text"]].to_numpy().tolist() == [
        ["name", "growth"],
        ["broad", 'getting "big"'],
        ["narrow", "odd"],
    ]
    assert set(rows["aspect"]) == {"biological_process"}
    assert "GO:0000003" not in set(table["go_id"])  # obsolete
