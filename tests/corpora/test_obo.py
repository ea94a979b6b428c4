import gzip

import pytest

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
    facts = {key: graph.graph[key] for key in ("data-version", "n_obsolete", "n_foreign", "n_stubs")}
    assert facts == {"data-version": "releases/2026-01-01", "n_obsolete": 1, "n_foreign": 1, "n_stubs": 0}


def test_table_by_hand(path):
    table = obo.term_table(obo.read_graph(path))
    assert table.values.tolist() == [
        ["GO:0000001", "root", "biological_process", "The top of all.", 4, 0, 0, 1],
        ["GO:0000002", "growth", "biological_process", 'Getting "bigger", by parts.', 4, 1, 1, 1],
        ["GO:0000004", "membrane", "cellular_component", "A sheet of lipids.", 4, 0, 0, 0],
    ]
    assert table.attrs["n_undefined"] == 1


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
