import argparse
import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from bioutils.errors import DataError
from bioutils.files import sha256
from bioutils.training.electra.export import COLUMNS, downstream

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("common", "downstream"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = importlib.import_module("downstream")
    yield found
    for name in ("common", "downstream"):
        sys.modules.pop(name, None)


@pytest.fixture
def run(script, monkeypatch, tmp_path):
    """A function that calls the script with trials that take no time; it gives the exit code and the trials run."""

    def call(*arguments):
        calls = []

        def trial(cell, seed):
            calls.append((cell.corpus, cell.encoder, seed))
            return {"micro_f1": 0.5 + seed / 10, "micro_f1_positive": 0.7}

        monkeypatch.setattr(script, "entities", trial)
        monkeypatch.setattr(script, "relations", trial)
        monkeypatch.setattr(sys, "argv", ["downstream.py", "--sample", "--out", str(tmp_path / "out"), *arguments])
        return script.main(), calls

    return call


def trials(tmp_path):
    return [json.loads(line) for line in (tmp_path / "out" / "trials.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--corpora", "jnlpba,nosuch"], "Expected corpus to be a known one, found 'nosuch'"),
        (["--corpora", "jnlpba,"], "Expected corpus to be a known one, found ''"),
        (["--corpora", "jnlpba", "--encoders", "baseline,nosuch"], "Expected encoder to be a short name"),
        (["--corpora", "jnlpba", "--metric", "f1"], "Expected --metric to be one for jnlpba, found 'f1'"),
        (["--corpora", "jnlpba,chemprot", "--metric", "micro_f1"], "Expected --metric to be one for chemprot"),
        (["--corpora", "jnlpba,chemprot", "--head", "crf"], "Expected --head to be one for chemprot"),
        (["--corpora", "jnlpba", "--trials", "0"], "Expected --trials to be 1 or more, found 0"),
        (["--corpora", "jnlpba", "--train", "1"], "Expected --train to be 2 or more, found 1"),
        (
            ["--corpora", "jnlpba,jnlpba", "--together"],
            "--together is for two or more corpora, each once, and for encoders",
        ),
        (
            ["--corpora", "jnlpba,chemprot", "--together", "--metric", "micro_f1"],
            "Expected --metric to be one for jnlpba",
        ),
        (["--corpora", "jnlpba", "--epochs", "0"], "Expected epochs to be a whole number, 1 or more, found 0"),
    ],
)
def test_a_wrong_call_is_one_line_before_anything_runs(run, capsys, tmp_path, arguments, message):
    code, calls = run("--encoders", "baseline", *arguments)
    told = capsys.readouterr().err
    assert (code, calls) == (2, [])
    assert message in told
    assert len(told.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_matrix_is_filled_once_and_summarised_whole(run, tmp_path, capsys):
    assert run("--encoders", "baseline", "--corpora", "jnlpba,chemprot")[1] == [
        ("jnlpba", "baseline", 0), ("chemprot", "baseline", 0),
    ]  # fmt: skip
    assert run("--encoders", "baseline", "--corpora", "jnlpba")[1] == []
    assert (
        run("--encoders", "minilm", "--corpora", "jnlpba", "--trials", "2", "--train", "100", "--metric", "loss")[0]
        == 0
    )
    table = pd.read_csv(tmp_path / "out" / "downstream.csv")
    assert list(table.columns[: len(COLUMNS)]) == list(COLUMNS)
    rows = table[[*COLUMNS, "train", "chosen_by"]].astype(object).where(table.notna(), None).values.tolist()
    assert rows == [
        ["jnlpba", "span micro-F1", "baseline", 1, 0.5, 0.5, 0.5, None, None],
        ["chemprot", "micro-F1 of the relations", "baseline", 1, 0.7, 0.7, 0.7, None, None],
        ["jnlpba", "span micro-F1", "minilm", 2, 0.55, 0.5, 0.6, 100.0, "loss"],
    ]
    assert "jnlpba" in capsys.readouterr().out


def test_other_weights_under_the_same_name_are_another_trial(run, script, tmp_path, encoder_dir):
    folder = tmp_path / "encoder"
    folder.mkdir()
    for path in encoder_dir.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    call = ["--encoders", f"{folder},random:{folder}", "--corpora", "jnlpba", "--trials", "1"]
    assert len(run(*call)[1]) == 2
    assert trials(tmp_path)[0]["weights"] == sha256(folder / "model.safetensors")
    assert run(*call)[1] == []
    (folder / "model.safetensors").write_bytes(b"others")
    script.weights_of.cache_clear()
    assert run(*call)[1] == [("jnlpba", str(folder), 0)]  # untrained it is what it was
    assert pd.read_csv(tmp_path / "out" / "downstream.csv")["trials"].tolist() == [1, 1, 1]
    assert script.weights_of("mbert") is script.weights_of("baseline") is None  # of the hub; of none


def test_lines_of_before_the_weights_count_in_the_summary(script, tmp_path):
    cell = {"corpus": "jnlpba", "encoder": "minilm", "sample": False, "head": "", "epochs": 4}
    lines = [cell | {"seed": seed, "micro_f1": value} for seed, value in ((0, 0.5), (1, 0.7), (1, 0.7))]
    lines += [cell | {"seed": 0, "micro_f1": 0.9, "weights": "ab"}, cell | {"seed": 0, "micro_f1": 0.4, "train": 10}]
    (tmp_path / "trials.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = script.summary(tmp_path / "trials.jsonl")
    assert table["trials"].tolist() == [2, 1, 1]  # a seed counts once
    assert table["mean"].tolist() == [0.6, 0.9, 0.4]
    assert table["epochs"].tolist() == [4, 4, 4]
    assert table["train"].isna().tolist() == [True, True, False]


def test_a_cut_line_is_told_with_its_number(run, script, tmp_path, capsys):
    run("--encoders", "baseline", "--corpora", "jnlpba")
    record = tmp_path / "out" / "trials.jsonl"
    whole = record.read_text()
    record.write_text(whole + whole[:30])
    code, calls = run("--encoders", "baseline", "--corpora", "jnlpba,chemprot")
    assert (code, calls) == (1, [])
    assert "trials.jsonl:2: No whole trial. Remove the line" in capsys.readouterr().err
    record.write_text(whole.rstrip("\n"))
    run("--encoders", "baseline", "--corpora", "jnlpba,chemprot")
    assert [row["corpus"] for row in trials(tmp_path)] == ["jnlpba", "chemprot"]
    record.write_text('{"corpus": "jnlpba", "encoder": "x", "seed": 0}\n')
    with pytest.raises(DataError, match=r"trials\.jsonl:1: No trial of this benchmark: no micro_f1"):
        script.summary(record)


def test_a_training_works_in_a_folder_of_its_own(script, monkeypatch, tmp_path):
    seen = []

    class Tagger:
        def tag_words(self, words):
            return [["O"] * len(ws) for ws in words]

    def train_tagger(task, *, out, **options):
        assert Path(out).is_dir()
        seen.append(out)
        return Tagger(), None

    monkeypatch.setattr(script, "train_tagger", train_tagger)
    call = script.parser().parse_args(["--sample", "--out", str(tmp_path)])
    cell = argparse.Namespace(**vars(call) | {"corpus": "jnlpba", "encoder": "minilm"})
    script.entities(cell, 0)
    script.entities(cell, 1)
    assert len(set(seen)) == 2
    assert list(tmp_path.iterdir()) == []


def test_corpora_together_are_one_training(run, script, monkeypatch, tmp_path):
    trained = []

    def train_all(cell, seed):
        trained.append((cell.together, cell.encoder, seed))
        return {corpus: {"micro_f1": 0.3, "micro_f1_positive": 0.4} for corpus in cell.together.split("+")}

    monkeypatch.setattr(script, "all_together", train_all)
    call = ["--encoders", "minilm", "--corpora", "jnlpba,chemprot", "--trials", "2", "--together"]
    run(*call)
    assert trained == [("chemprot+jnlpba", "minilm", 0), ("chemprot+jnlpba", "minilm", 1)]
    run(*call)
    assert len(trained) == 2, "what is there stays"
    assert len(run("--encoders", "minilm", "--corpora", "jnlpba", "--trials", "1")[1]) == 1, "alone is another trial"
    table = pd.read_csv(tmp_path / "out" / "downstream.csv")
    assert table["together"].fillna("").tolist() == ["chemprot+jnlpba", "chemprot+jnlpba", ""]
    assert table["mean"].tolist() == [0.3, 0.4, 0.5]


@pytest.mark.slow
def test_corpora_together_for_real(script, tmp_path):
    arguments = "--sample --corpora jnlpba,chemprot --epochs 2 --train 60 --out".split()
    call = script.parser().parse_args([*arguments, str(tmp_path)])
    cell = argparse.Namespace(**vars(call) | {"encoder": "electra-tiny", "together": "chemprot+jnlpba"})
    found = script.all_together(cell, 0)
    assert found["jnlpba"].keys() == {"left_out", "micro_f1", "micro_f1_low", "micro_f1_high", "macro_f1", "seconds"}
    assert 0 < found["chemprot"]["micro_f1_positive"] <= 1
    assert found["chemprot"]["accuracy_low"] <= found["chemprot"]["accuracy"] <= found["chemprot"]["accuracy_high"]
    assert list(tmp_path.iterdir()) == []


def test_what_another_is_tested_on_is_not_learned(script):
    call = script.parser().parse_args(["--sample"])
    tags = script.entity_task(call, "jnlpba", 0)
    relations, folds = script.relation_task(call, "chemprot", 0)
    test = relations.examples[folds[0].test[0]].text
    tags.train.append(replace(tags.train[0], tokens=tuple(test.split()), tags=("O",) * len(test.split())))
    other = replace(relations.examples[folds[0].train[0]], text=" ".join(tags.test[0].tokens))
    relations.examples[folds[0].train[0]] = other
    tasks, left_out = script.without_copies({"jnlpba": tags, "chemprot": (relations, folds)})
    assert left_out == {"jnlpba": 1, "chemprot": 1}
    assert tasks["jnlpba"].train == tags.train[:-1]
    assert tasks["chemprot"][1][0].train.tolist() == folds[0].train[1:].tolist()
    assert tasks["chemprot"][1][0].test.tolist() == folds[0].test.tolist()


def test_the_card_reads_the_table(run, tmp_path):
    run("--encoders", "baseline,minilm", "--corpora", "jnlpba", "--trials", "2")
    run("--encoders", "minilm", "--corpora", "jnlpba", "--trials", "1", "--train", "100")
    found = downstream(tmp_path / "out" / "downstream.csv")
    assert found == {
        "encoders": ["baseline", "minilm"],
        "downstream": [
            {"task": "jnlpba, span micro-F1", "cells": ["0.500", "0.550 (0.500 to 0.600)"]},
            {"task": "jnlpba, span micro-F1, 100 to train on", "cells": ["–", "0.500"]},
        ],
    }
    run("--encoders", "minilm", "--corpora", "jnlpba", "--trials", "1", "--epochs", "2")
    with pytest.raises(DataError, match="two rows of minilm on jnlpba, span micro-F1"):
        downstream(tmp_path / "out" / "downstream.csv")
