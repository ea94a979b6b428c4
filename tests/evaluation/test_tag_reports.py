import pytest

from bioutils.corpora.conll import Sentence
from bioutils.errors import UsageError
from bioutils.evaluation.spans import evaluate_spans
from bioutils.evaluation.tag_reports import mistakes_text, span_confusion, write_report

GOLD = [
    Sentence(("IL-2", "gene", "of", "T", "cells"), ("B-DNA", "I-DNA", "O", "B-cell", "I-cell")),
    Sentence(("was", "seen"), ("O", "O")),
    Sentence(("c-Fos", "was"), ("B-protein", "O")),
]
FOUND = [["B-protein", "O", "O", "B-cell", "I-cell"], ["O", "O"], ["O", "B-cell"]]


def test_only_sentences_with_mistakes_are_shown():
    text = mistakes_text(GOLD, FOUND)
    assert text.splitlines()[:4] == [
        "TOKEN  LABEL   PRED",
        "IL-2   B-DNA   B-protein  <",
        "gene   I-DNA   O  <",
        "of     O       O",
    ]
    assert text.count("TOKEN") == 2
    assert "seen" not in text
    assert mistakes_text(GOLD, FOUND, most=1).count("TOKEN") == 1
    assert mistakes_text(GOLD, [s.tags for s in GOLD]) == ""
    with pytest.raises(UsageError):
        mistakes_text(GOLD, FOUND[:1])


def test_the_report_file(tmp_path):
    report = evaluate_spans([s.tags for s in GOLD], FOUND)
    write_report(report, tmp_path / "classification_report.txt", best_epoch=2, train_loss=0.5, validation_loss=0.25)
    text = (tmp_path / "classification_report.txt").read_text()
    assert text.endswith("best epoch: 2\ntraining loss: 0.5000\nvalidation loss: 0.2500\n")
    assert "micro average" in text.split("by word")[0]
    assert f"{report.metrics['micro_f1']:.4f}" in text


def test_confusion_of_spans():
    table = span_confusion(GOLD, FOUND, ["DNA", "cell", "protein"])
    assert table.loc["DNA", "protein"] == 1
    assert table.loc["cell", "cell"] == 1
    assert table.loc["protein", "none"] == 1
    assert table.loc["none", "cell"] == 1
    assert table.to_numpy().sum() == 4
