import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bioutils.annotators import load_annotator
from bioutils.corpora import project_data
from bioutils.corpora.conversion import read
from bioutils.corpora.records import Document, Remark, Span, write_jsonl
from bioutils.multihead_launch import main
from bioutils.training.multihead_config import EXAMPLE, Data, from_mapping
from bioutils.training.multihead_data import data_sha256, documents_of

SAMPLE = project_data() / "sample"
DEPLOY = {"inputs": ["a.txt"], "out": "b"}


def heads_with(**options):
    return {"model": {"heads": {"a": {"kind": "link", "layer": "link_only"} | options}}}


@pytest.fixture(scope="module")
def config(encoder_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("multihead")
    heads = {
        "category": {"kind": "single_label", "layer": "category"},
        "effect": {"kind": "crf", "layer": "EFFECT", "scheme": "BIO"},
        "link": {"kind": "link", "layer": "link_only"},
    }
    content = {
        "out": str(folder / "tags"),
        "data": {"source": str(SAMPLE / "mae" / "bo")},
        "model": {"encoder": str(encoder_dir), "heads": heads},
        "training": {"epochs": 2, "folds": 2, "max_length": 64, "learning_rate": 0.005, "precision": "fp32"},
        "test": {"source": str(SAMPLE / "mae" / "bo"), "known": True},
        "deploy": {"inputs": [str(folder / "text.jsonl")], "out": str(folder / "tagged.html")},
    }
    (folder / "text.jsonl").write_text(
        '{"id": "7", "title": "Loss of p53", "abstract": "It <b>slows</b> growth."}\n' * 2
    )
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    return folder, content


def test_train_test_deploy(config, capsys, monkeypatch):
    folder, _ = config
    monkeypatch.chdir(folder)
    path = str(folder / "config.yaml")
    assert main([path]) == 0
    scores = json.loads((folder / "tags" / "scores.json").read_text())
    assert set(scores["scores"]) == {"category", "effect", "link", "mean"}
    assert len(scores["epochs"]) == 2
    assert scores["data_sha256"] == data_sha256(read(SAMPLE / "mae" / "bo"))
    assert {"bioutils", "python", "torch", "transformers", "threads"} <= scores["env"].keys()
    notes = json.loads((folder / "tags" / "model" / "bioutils.json").read_text())
    assert notes["data_sha256"] == scores["data_sha256"]
    assert (folder / "tags" / "history.csv").read_text().count("\n") == 1 + 2 * 2 * 2 * 3  # folds, epochs, parts, heads
    (folder / "tags" / "notes.txt").write_text("mine")
    kept = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
    assert main([path]) == 2  # a run is there
    assert "scores.json exists. Give --overwrite to replace the run in" in capsys.readouterr().err
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()} == kept
    assert main([path, "--overwrite"]) == 0
    assert (folder / "tags" / "notes.txt").read_text() == "mine"
    records = [json.loads(line) for line in (folder / "outputs" / "runs.jsonl").read_text().splitlines()]
    assert [r["name"] for r in records] == ["tags", "tags"]  # one a run, none overwritten
    assert records[0]["parameters"]["model"]["heads"]["effect"]["scheme"] == "BIO"
    assert load_annotator(folder / "tags" / "model").head("EFFECT") == "effect"
    assert records[0]["parameters"]["training"]["folds"] == 2  # under the keys of the file
    assert "folds" not in records[0]["parameters"]
    compare = folder / "compare.yaml"
    compare.write_text(
        yaml.safe_dump({"out": str(folder / "analysis"), "analyse": {"heads": ["effect", "link"], "by": ["balance"]}})
    )
    capsys.readouterr()
    assert main([str(compare), "--mode", "analyse"]) == 0
    assert "| all (mean) |" in capsys.readouterr().out
    assert (folder / "analysis" / "tags-labels.csv").is_file()
    capsys.readouterr()
    assert main([path, "--mode", "test"]) == 0
    tested = json.loads((folder / "tags" / "test.json").read_text())
    assert set(tested["heads"]) == {"category", "effect", "link"}
    assert set(tested["joint"]) == {"entities", "pairs", "links", "pairs_given_tags", "links_given_tags"}
    assert main([path, "--mode", "deploy"]) == 0
    html = (folder / "tagged.html").read_text()
    assert "7-2 ·" in html  # a repeated id gets a number
    assert "<b>" not in html
    assert main([path, "--mode", "deploy"]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_several_files_each_in_turn(config, tmp_path, monkeypatch, capsys):
    _, content = config
    monkeypatch.chdir(tmp_path)
    model = content["model"] | {"heads": {"category": content["model"]["heads"]["category"]}}
    content = content | {"model": model, "training": content["training"] | {"epochs": 1, "final": False}}
    (tmp_path / "more").mkdir()
    for name, change in (
        ("a.yaml", {"out": "a"}),
        ("more/b.yaml", {"out": ""}),
        ("more/c.yml", {"out": "a"}),
        ("more/d.json", {"out": "d"}),
        ("more/e.txt", {"out": "e"}),
    ):
        (tmp_path / name).write_text(json.dumps(content | change))
    assert main(["a.yaml", "more", "more/d.json"]) == 1
    shown = capsys.readouterr()
    assert [line for line in shown.out.splitlines() if line.startswith("[")] == [
        "[1/4] a.yaml", "[2/4] more/b.yaml", "[3/4] more/c.yml", "[4/4] more/d.json",
    ]  # fmt: skip
    assert shown.out.endswith("2 of 4 done\nfailed: more/b.yaml\nfailed: more/c.yml\n")
    assert "more/b.yaml: Expected out to be a folder for the run" in shown.err
    assert "more/c.yml: out is that of a.yaml" in shown.err
    assert [(tmp_path / name / "scores.json").is_file() for name in "ade"] == [True, True, False]

    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("bioutils.multihead_launch.run_test", broken)
    assert main(["a.yaml", "more/d.json", "--mode", "test"]) == 1
    shown = capsys.readouterr()
    assert shown.err.count("Traceback") == 2
    assert "0 of 2 done" in shown.out
    (tmp_path / "none").mkdir()
    assert main(["none"]) == 2
    assert "Expected folder none to be one with configurations" in capsys.readouterr().err
    assert main(["nowhere.yaml"]) == 1  # as for any file that is not there


def test_no_file_of_an_earlier_run_stays_beside_the_new_ones(config, tmp_path, monkeypatch, capsys):
    _, content = config
    monkeypatch.chdir(tmp_path)
    model = content["model"] | {"heads": {"category": content["model"]["heads"]["category"]}}
    changed = content | {"out": "tags", "model": model}
    for training in ({"folds": 2, "final": False}, {"folds": 0}):
        (tmp_path / "c.yaml").write_text(
            yaml.safe_dump(changed | {"training": content["training"] | {"epochs": 1} | training})
        )
        (tmp_path / "tags").mkdir(exist_ok=True)
        (tmp_path / "tags" / "mine.csv").write_text("a")
        assert main(["c.yaml", "--overwrite"]) == 0
    assert {p.name for p in (tmp_path / "tags").iterdir()} == {"scores.json", "model", "mine.csv"}
    (tmp_path / "analyse.yaml").write_text(yaml.safe_dump({"out": "analysis", "analyse": {}}))
    assert main(["analyse.yaml", "--mode", "analyse"]) == 2  # earlier: the first run's curves as the second's
    assert "None of the 2 runs has left the history.csv" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "tags" / "model")
    (tmp_path / "tags" / "model").mkdir()
    (tmp_path / "tags" / "model" / "clay.txt").write_text("a")
    assert main(["c.yaml", "--overwrite"]) == 2
    assert "holds something else than a model" in capsys.readouterr().err
    assert (tmp_path / "tags" / "model" / "clay.txt").is_file()
    assert (tmp_path / "tags" / "scores.json").is_file()


def test_a_test_on_training_abstracts_is_refused(config, tmp_path, monkeypatch, capsys):
    folder, content = config
    monkeypatch.chdir(tmp_path)
    if not (folder / "tags" / "model").is_dir():
        assert main([str(folder / "config.yaml")]) == 0
    documents = read(SAMPLE / "mae" / "bo")
    groups = sorted({d.group for d in documents})
    assert json.loads((folder / "tags" / "model" / "bioutils.json").read_text())["groups"] == groups
    new = [replace(d, group="", id=f"new-{i}") for i, d in enumerate(documents[:3])]
    for source, deploy, message in (
        ([*new, documents[0]], {}, f"the model was not trained on, found 1 of 4 that it was ({documents[0].group})."),
        (documents, {}, f"found {len(groups)} of {len(groups)} that it was ({', '.join(groups[:5])}, …). Give others"),
        (new, {}, ""),
    ):
        write_jsonl(source, tmp_path / "new.jsonl")
        changed = content | {"test": {"source": str(tmp_path / "new.jsonl")}} | deploy
        (tmp_path / "c.yaml").write_text(yaml.safe_dump(changed))
        capsys.readouterr()
        assert main([str(tmp_path / "c.yaml"), "--mode", "test"]) == (2 if message else 0)
        assert message in capsys.readouterr().err


def test_links_of_another_model_are_tested_on_new_abstracts_too(config, tmp_path, monkeypatch, capsys):
    folder, content = config
    monkeypatch.chdir(tmp_path)
    if not (folder / "tags" / "model").is_dir():
        assert main([str(folder / "config.yaml")]) == 0
    shutil.copytree(folder / "tags" / "model", tmp_path / "old" / "model")
    notes = json.loads((tmp_path / "old" / "model" / "bioutils.json").read_text())
    (tmp_path / "old" / "model" / "bioutils.json").write_text(json.dumps(notes | {"groups": []}))
    deploy = content["deploy"] | {"linker": str(folder / "tags")}  # the run's folder does, as the help shows it
    changed = content | {"out": str(tmp_path / "old"), "test": {"source": str(SAMPLE / "mae" / "bo")}, "deploy": deploy}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(changed))
    capsys.readouterr()
    assert main([str(tmp_path / "c.yaml"), "--mode", "test"]) == 2
    shown = capsys.readouterr()
    assert "the model was saved without the names of its training abstracts" in shown.out
    assert "abstracts that deploy.linker was not trained on" in shown.err


def test_a_label_that_the_model_does_not_know_is_missed_and_told(config, tmp_path, monkeypatch, capsys):
    folder, content = config
    monkeypatch.chdir(tmp_path)
    if not (folder / "tags" / "model").is_dir():
        assert main([str(folder / "config.yaml")]) == 0
    shutil.copytree(folder / "tags" / "model", tmp_path / "copy" / "model")
    text = "Loss of p53 slows growth"
    spans = (Span("A", "ODD", ((0, 11),), "Loss of p53"), Span("B", "EFFECT", ((12, 17),), "slows"))
    write_jsonl([Document("new", text, spans, remarks=(Remark("R", "effect", "B", "odd"),))], tmp_path / "new.jsonl")
    changed = content | {"out": str(tmp_path / "copy"), "test": {"source": str(tmp_path / "new.jsonl")}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(changed))
    capsys.readouterr()
    assert main([str(tmp_path / "c.yaml"), "--mode", "test"]) == 0
    shown = capsys.readouterr().out
    assert "category: missed 3 words of 'ODD', a label that the model does not know" in shown
    assert "effect: missed 1 words of 'odd'" in shown
    found = json.loads((tmp_path / "copy" / "test.json").read_text())
    assert found["unknown"] == {"category: ODD": 3, "effect: odd": 1}
    assert found["heads"]["effect"]["recall"] == 0  # earlier there was nothing to miss
    assert found["heads"]["link"]["f1"] is None  # no link, no question


@pytest.mark.parametrize("kind", ["mae", "brat"])
def test_deployed_as_annotations(config, kind, monkeypatch, tmp_path):
    folder, content = config
    monkeypatch.chdir(tmp_path)
    if not (folder / "tags" / "model").is_dir():
        assert main([str(folder / "config.yaml")]) == 0
    deploy = content["deploy"] | {"out": str(tmp_path / kind), "to": kind, "threshold": 0.0}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(content | {"deploy": deploy}))
    assert main([str(tmp_path / "c.yaml"), "--mode", "deploy"]) == 0
    found = read(tmp_path / kind)
    assert sorted(d.id for d in found) == ["7", "7-2"]
    assert found[0].text == "Loss of p53\nIt <b>slows</b> growth."


def test_deployed_statements_alone(config, monkeypatch, tmp_path, capsys):
    folder, content = config
    monkeypatch.chdir(tmp_path)
    if not (folder / "tags" / "model").is_dir():
        assert main([str(folder / "config.yaml")]) == 0
    capsys.readouterr()
    for linked, threshold, code in ((["EFFECT"], 0.999, 0), (["GENE"], 0.5, 2)):
        deploy = content["deploy"] | {
            "out": str(tmp_path / f"{threshold}.html"),
            "linked": linked,
            "threshold": threshold,
        }
        (tmp_path / "c.yaml").write_text(yaml.safe_dump(content | {"deploy": deploy}))
        assert main([str(tmp_path / "c.yaml"), "--mode", "deploy"]) == code
    shown = capsys.readouterr()
    assert "0 of 2 texts, 0 tags, 0 links" in shown.out
    assert "categories of the model, found 'GENE'" in shown.err


def test_the_example_in_the_help_is_right():
    config = from_mapping(yaml.safe_load(EXAMPLE.partition("\n")[2]))
    assert config.model.heads["effect"].scheme == "BIO"
    assert config.training.epochs == 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training": {"epoch": 3}}, "Expected key of training to be a known one, found 'epoch'"),
        ({"modle": {}}, "found 'modle'"),
        ({"out": ""}, "Expected out"),
        ({"training": {"folds": 1}}, "training.folds"),
        ({"training": {"folds": 0, "final": False}}, "nothing to do"),
        ({"training": {"balance": "half"}}, "training.balance to be a number"),
        ({"training": {"epochs": "many"}}, "epochs to be a whole number"),
        ({"training": {"layer_decay": 0.8}}, "which are frozen"),
        ({"training": {"freeze": 1}}, "training.freeze is of an encoder that is trained"),
        ({"training": {"average": 1}}, "training.average to be 0 (none) or a share below 1, found 1"),
        ({"model": {"heads": {}}}, "model.heads"),
        ({"model": {"heads": {"a": {"kind": "crf", "layer": "X"}}}}, "needs a scheme"),
        ({"model": {"heads": {"a": {"kind": "single_label"}}}}, "model.heads.a.layer to be given"),
        (
            {"model": {"heads": {"a": {"kind": "single_label", "layer": "X"}}, "frozen": 1}},
            "model.frozen to be true or false",
        ),
        ({"deploy": {"inputs": "a.txt", "out": "b"}}, "deploy.inputs to be a list"),
        ({"data": "here"}, "data to be a mapping"),
        (heads_with(hidden="wide"), "model.heads.a.hidden to be true or false, or a whole number, found 'wide'"),
        (heads_with(hidden=1.5), "model.heads.a.hidden to be true or false, or a whole number, found 1.5"),
        (heads_with(hidden=-3), "hidden of head a"),
        (heads_with(marks=True, categories="EFFECT"), "model.heads.a.categories to be a list of texts, found 'EFFECT'"),
        (heads_with(weight=True), "model.heads.a.weight to be a number"),
        ({"model": heads_with()["model"] | {"dropout": 2}}, "model.dropout to be 0 (none) or a share below 1, found 2"),
        ({"model": {"heads": {"type": {"kind": "single_label", "layer": "X"}}}}, "Call it 'type_head'"),
        ({"training": {"accumulation": 1}}, "training.accumulation does nothing here: each step takes"),
        ({"training": {"metric": "loss"}}, "training.metric does nothing here: the epoch with the best mean F1"),
        ({"deploy": DEPLOY | {"threshold": 7}}, "deploy.threshold to be a probability, from 0 to 1, found 7"),
        (
            {"deploy": DEPLOY | {"to": "foo"}},
            "deploy.to to be a format that is written, found 'foo'. Available: ['mae'",
        ),
        ({"deploy": DEPLOY | {"to": "words"}}, "deploy.out to be a file that ends in .json, of words, found 'b'"),
        ({"deploy": DEPLOY | {"to": "html"}}, "deploy.out to be a file that ends in .html"),
    ],
)
def test_configurations_that_cannot_be(config, change, message, tmp_path, capsys):
    content = {k: v for k, v in config[1].items() if k != "training"} | change
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(content))
    assert main([str(tmp_path / "c.yaml")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert str(tmp_path / "c.yaml") in error


def test_an_encoder_that_learns_is_steadied_by_default(config):
    model = config[1]["model"]
    found = {
        frozen: from_mapping({"out": "x", "model": model | {"frozen": frozen}, "training": {"epochs": 3}}).folds
        for frozen in (True, False)
    }
    assert (found[True].average, found[True].freeze) == (0.0, 0)
    assert (found[False].average, found[False].freeze) == (0.998, 1)
    given = {"out": "x", "model": model | {"frozen": False}, "training": {"average": 0, "freeze": 0}}
    assert (from_mapping(given).folds.average, from_mapping(given).folds.freeze) == (0, 0)


def test_a_head_may_be_given_what_its_fields_hold():
    told = {"hidden": True, "marks": True, "categories": ["EFFECT", "CONTEXT"]}
    head = from_mapping({"out": "x"} | heads_with(**told)).model.heads["a"]
    assert (head.hidden, head.categories) == (True, ("EFFECT", "CONTEXT"))
    assert from_mapping({"out": "x"} | heads_with(hidden=64)).model.heads["a"].hidden == 64
    for out, to, kind in (("b", "", "brat"), ("b.json", "", "bioc"), ("b.json", "words", "words"), ("b", "mae", "mae")):
        assert from_mapping({"out": "x", "deploy": DEPLOY | {"out": out, "to": to}}).deploy.kind == kind


def test_links_that_no_head_learns(config, tmp_path, capsys):
    content = config[1] | {"data": {"source": "x", "linked_only": True}}
    content["model"] = content["model"] | {"heads": {"category": {"kind": "single_label", "layer": "category"}}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(content))
    assert main([str(tmp_path / "c.yaml")]) == 2
    assert "no head learns links" in capsys.readouterr().err


@pytest.mark.skipif("BIOUTILS_DATA" not in os.environ, reason="BIOUTILS_DATA is not set")
def test_the_real_linked_documents():
    archive = Path(os.environ["BIOUTILS_DATA"]) / "fgen" / "mae-xml.tar.gz" / "raw_data"
    found = documents_of(Data(source=str(archive / "V2 Marked and Linked Entities"), linked_only=True))
    assert len(found) == 163
    assert sum(len(d.links) for d in found) == 364
