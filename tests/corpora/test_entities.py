import os
from pathlib import Path

import pytest

from bioutils.corpora import CORPORA
from bioutils.corpora.entities import TYPES, check, read_entities, tagged
from bioutils.corpora.records import Document, Span
from bioutils.corpora.tags import TokenSpan, illegal, to_spans
from bioutils.errors import DataError, UsageError

REAL = os.environ.get("BIOUTILS_DATA")

# sentences, tokens and entities by part, as the corpora's own pages state them
STATED = {
    "ncbi-disease": [(5424, 135701, 5134), (923, 23969, 787), (940, 24497, 960)],
    "bc5cdr-chem": [(4560, 118170, 5203), (4581, 117453, 5347), (4797, 124750, 5385)],
    "bc5cdr-disease": [(4560, 118170, 4182), (4581, 117453, 4246), (4797, 124750, 4424)],
    "bc2gm": [(12574, 355405, 15197), (2519, 71042, 3061), (5038, 143465, 6325)],
    "linnaeus": [(11935, 280960, 2119), (4078, 93815, 711), (7142, 164653, 1433)],
    "anatem": [(5861, 153823, 6946), (2118, 58785, 2139), (3830, 99976, 4616)],
}


def real(name: str) -> Path:
    if not REAL or not (Path(REAL) / name).is_dir():
        pytest.skip(f"BIOUTILS_DATA has no {name}")
    return Path(REAL)


def test_the_sample_is_as_large_as_promised():
    corpus = read_entities("jnlpba", sample=True)
    assert sum(map(len, corpus.parts.values())) >= 300
    assert {span.type for part in corpus.parts.values() for s in part for span in to_spans(s.tags)} == set(
        TYPES["jnlpba"]
    )
    documents = [{s.document for s in part} for part in corpus.parts.values()]
    assert all(len(d) > 10 for d in documents)
    texts = [{s.tokens for s in part} for part in corpus.parts.values()]
    assert not texts[0] & texts[1]
    assert not texts[0] & texts[2]
    assert not texts[1] & texts[2]


@pytest.mark.parametrize("scheme", ["IOB1", "IOB2", "IOBES", "BILOU"])
def test_labels_are_in_a_fixed_order_and_hold_every_tag(scheme):
    corpus = read_entities("jnlpba", sample=True, scheme=scheme)
    tags = {tag for part in corpus.parts.values() for s in part for tag in s.tags}
    assert tags <= set(corpus.labels)
    assert corpus.labels[0] == "O"
    assert corpus.labels[1].endswith("-DNA")
    assert not any(illegal(s.tags, scheme) for part in corpus.parts.values() for s in part)


def test_a_document_becomes_sentences_and_counts_what_tags_cannot_hold():
    text = "Human IL-2 gene promoter binds NFAT. T cells rest."
    spans = (
        Span("T1", "DNA", ((6, 24),), "IL-2 gene promoter"), Span("T2", "protein", ((6, 10),), "IL-2"),
        Span("T3", "protein", ((31, 35),), "NFAT"), Span("T4", "cell", ((37, 38), (39, 44)), "T cells"),
        Span("T5", "part", ((40, 42),), "el"),
    )  # fmt: skip
    lost: dict[str, int] = {}
    first, second = tagged(Document("d", text, spans), lost=lost)
    assert first.tokens == ("Human", "IL", "-", "2", "gene", "promoter", "binds", "NFAT", ".")
    assert to_spans(first.tags) == [TokenSpan(1, 6, "DNA"), TokenSpan(7, 8, "protein")]
    assert second.tokens == ("T", "c", "el", "ls", "rest", "."), "a border inside a word cuts it"
    assert lost == {"protein": 1, "cell": 1}
    assert tagged(Document("d", text, spans), types=["protein"])[0].tags.count("B-protein") == 2


def test_wrong_calls(tmp_path):
    with pytest.raises(UsageError, match="Expected corpus to be one of entities, found 'go'"):
        read_entities("go")
    (tmp_path / "bc2gm").mkdir()
    with pytest.raises(DataError, match="Found none of"):
        read_entities("bc2gm", data_root=tmp_path)
    (tmp_path / "bc2gm" / "train.tsv").write_text("x\tB-protein\n")
    with pytest.raises(DataError, match=r"train.tsv:1: Expected type to be a known one, found 'protein'"):
        read_entities("bc2gm", data_root=tmp_path)
    assert set(TYPES) <= set(CORPORA)


@pytest.mark.parametrize("name", STATED)
def test_real_counts(name):
    found = check(name, data_root=real(name))
    (kind,) = TYPES[name]
    for part, numbers in zip(("train", "validation", "test"), STATED[name], strict=True):
        assert tuple(found[f"{part}: {what}"] for what in ("sentences", "tokens", kind)) == numbers


def test_real_jnlpba():
    found = check("jnlpba", data_root=real("jnlpba"))
    test = {
        "protein": 5067,
        "cell_type": 1921,
        "DNA": 1056,
        "cell_line": 500,
        "RNA": 118,
        "sentences": 3856,
        "documents": 404,
    }
    assert {what: found[f"test: {what}"] for what in test} == test
    both = {kind: found[f"train: {kind}"] + found[f"validation: {kind}"] for kind in TYPES["jnlpba"]}
    # of the published counts, less three abstracts whose words could not be aligned
    assert both == {
        "DNA": 9533 - 1,
        "RNA": 951 - 3,
        "cell_line": 3830 - 2,
        "cell_type": 6718 - 6,
        "protein": 30269 - 37,
    }


def test_real_s800_from_standoff():
    found = check("s800", data_root=real("s800"))
    tagged_species = sum(found[f"{part}: Species"] for part in ("train", "validation", "test"))
    assert tagged_species + found["not in tags: Species"] == 3708
    assert [found[f"{part}: documents"] for part in ("train", "validation", "test")] == [560, 80, 160]
