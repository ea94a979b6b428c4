import json

import pytest

from bioutils.cli import main
from bioutils.corpora.bioc import read_bioc
from bioutils.corpora.brat import read_brat
from bioutils.corpora.records import Document
from bioutils.errors import UsageError
from bioutils.taggers import load_tagger, new_tagger, save_tagger
from bioutils.tagging import tag_documents, tag_files
from bioutils.training.results import save_whole

LABELS = ["O", "B-Gene", "I-Gene", "B-Cell", "I-Cell"]
RECORDS = [
    {"id": "1", "title": "Growth of <b>cells", "abstract": "Zinc binds the membrane. It was 5 µg/ml\u2029of lipids."},
    {"id": "doi:10/2", "title": "", "abstract": "Number of cells & lipids."},
    {"id": "3", "title": "Only a title", "abstract": ""},
    {"id": "1", "title": "", "abstract": "Cells, again."},
]


@pytest.fixture(scope="module")
def tagger_dir(encoder_dir, tmp_path_factory):
    tagger = new_tagger(LABELS, encoder=str(encoder_dir), seed=2, max_length=32)
    return save_whole(
        tmp_path_factory.mktemp("tagger") / "model", {"max_length": 32, "scheme": "IOB2"}, save_tagger(tagger)
    )


@pytest.fixture
def abstracts(tmp_path):
    path = tmp_path / "abstracts.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    return path


def test_every_format_holds_the_same_entities(tagger_dir, abstracts, tmp_path, capsys):
    for out in ("a.jsonl", "a.json", "a.html", "brat"):
        assert main(["tag", str(abstracts), "--model", str(tagger_dir), "--out", str(tmp_path / out)]) == 0
    printed = capsys.readouterr().out
    assert "4 abstracts" in printed
    assert "1 abstracts have no text" in printed
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["1", "doi:10/2", "3", "1-2"], "no document replaces another"
    assert lines[0]["text"].startswith("Growth of <b>cells\nZinc binds")
    spans = {line["id"]: [(e["start"], e["end"], e["type"]) for e in line["entities"]] for line in lines}
    assert sum(map(len, spans.values())) > 4
    for line in lines:
        for e in line["entities"]:
            assert line["text"][e["start"] : e["end"]] == e["text"]
            assert 0 < e["score"] <= 1
            edges = line["text"][: e["start"]][-1:] + e["text"][:1], e["text"][-1:] + line["text"][e["end"] :][:1]
            assert not any(len(pair) == 2 and pair.isalnum() for pair in edges), "words are never cut"
    for found in (read_bioc(tmp_path / "a.json"), read_brat(tmp_path / "brat")):
        assert {
            d.id.replace("_", ":", 1).replace("_", "/"): [(s.start, s.end, s.type) for s in d.spans] for d in found
        } == spans
    page = (tmp_path / "a.html").read_text()
    assert "&lt;" in page
    assert "<b>" not in page
    assert page.count("<mark") == sum(map(len, spans.values()))


def test_one_by_one_is_the_same(tagger_dir):
    tagger = load_tagger(tagger_dir)
    documents = [Document(r["id"], r["abstract"]) for r in RECORDS] + [Document("5", "Growth of cells. " * 40)]
    alone = [tag_documents([document], tagger)[0] for document in documents]
    together = tag_documents(documents, tagger)
    assert [d.spans for d in together] == [d.spans for d in alone]
    assert tag_documents([], tagger) == []


def test_nothing_is_replaced_unasked(tagger_dir, abstracts, tmp_path):
    out = tmp_path / "a.jsonl"
    tag_files([abstracts], out, model=tagger_dir, progress=False)
    with pytest.raises(UsageError, match="--overwrite"):
        tag_files([abstracts], out, model=tagger_dir, progress=False)
    tag_files([abstracts], out, model=tagger_dir, overwrite=True, progress=False)
    with pytest.raises(UsageError, match="is an input"):
        tag_files([abstracts], abstracts, model=tagger_dir, overwrite=True, progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"out": "a.ann"}, "For brat name a folder"),
        ({"out": "a.docx"}, "known format"),
        ({"inputs": ["missing.xml"]}, "missing.xml"),
        ({"model": "."}, "saved tagger"),
    ],
)
def test_wrong_calls(change, message, tagger_dir, abstracts, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call = {"inputs": [str(abstracts)], "model": str(tagger_dir), "out": "a.html"} | change
    assert main(["tag", *call["inputs"], "--model", call["model"], "--out", call["out"]]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "a.html").exists()


def test_a_file_without_abstracts_leaves_nothing(tagger_dir, tmp_path, capsys):
    (tmp_path / "empty.csv").write_text("id,title,abstract\n")
    for out in ("a.html", "brat"):
        assert main(["tag", str(tmp_path / "empty.csv"), "--model", str(tagger_dir), "--out", str(tmp_path / out)]) == 1
        assert not (tmp_path / out).exists()
    assert "No abstract" in capsys.readouterr().err


def test_a_folder_with_other_files_is_not_replaced(tagger_dir, abstracts, tmp_path):
    (tmp_path / "brat").mkdir()
    (tmp_path / "brat" / "thesis.docx").write_text("years of work")
    with pytest.raises(UsageError, match=r"more than brat's files \(thesis.docx\)"):
        tag_files([abstracts], tmp_path / "brat", model=tagger_dir, overwrite=True, progress=False)
    assert [p.name for p in tmp_path.rglob("*.docx")] == ["thesis.docx"]
