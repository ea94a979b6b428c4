from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import get_constant_schedule

from bioutils.corpora.conll import Sentence
from bioutils.corpora.entities import EntityCorpus, read_entities
from bioutils.errors import UsageError
from bioutils.evaluation.spans import evaluate_spans
from bioutils.heads.tagging import NO_LABEL
from bioutils.taggers import load_tagger, new_tagger
from bioutils.training import loop
from bioutils.training.tagging import (
    TAGGING,
    TagJudge,
    documents_of,
    make_task,
    tagger_range_test,
    tagging_dataset,
    train_tagger,
)

LABELS = ("O", "B-x", "I-x")
SETTINGS = replace(TAGGING, epochs=12, learning_rate=1e-2, max_length=32, batch_size=8)


def sentences(n: int, start: int = 0) -> list[Sentence]:
    """A cell is an entity with what follows it; nothing else is."""
    kinds = [(("growth", "of", "cell", "lipids"), ("O", "O", "B-x", "I-x")), (("zinc", "was", "."), ("O", "O", "O"))]
    return [Sentence(*kinds[i % 2], document=f"d{i // 4}") for i in range(start, start + n)]


@pytest.fixture(scope="module")
def task():
    parts = {"train": sentences(48), "test": sentences(12, 48)}
    return make_task(EntityCorpus("tiny", parts, ("x",), "IOB2", {}))


def test_validation_is_cut_from_training_by_document(task):
    kept, held = set(documents_of(task.train)), set(documents_of(task.validation))
    assert kept
    assert held
    assert not kept & held
    assert len(task.train) + len(task.validation) == 48
    real = read_entities("jnlpba", sample=True)
    assert make_task(real).validation == real.parts["validation"], "its own part where it has one"
    assert len(make_task(real, n_train=20).train) == 20


@pytest.mark.parametrize(("head", "route"), [("softmax", "native"), ("crf", "native"), ("softmax", "trainer")])
def test_it_learns_and_is_saved(head, route, task, encoder_dir, tmp_path):
    tagger, result = train_tagger(
        task, encoder=str(encoder_dir), out=tmp_path, head=head, route=route, settings=SETTINGS, progress=False
    )
    assert result.history["validation_micro_f1"].max() == 1
    assert result.history["epoch"].tolist() == list(range(1, 13))
    assert (result.history[["train_loss", "validation_loss"]] > 0).all(None)
    found = load_tagger(result.model_dir).tag_words([s.tokens for s in task.test])
    assert found == tagger.tag_words([s.tokens for s in task.test])
    assert evaluate_spans([s.tags for s in task.test], found).metrics["micro_f1"] == 1


def test_windows_lose_no_label(encoder_dir):
    long = Sentence(("cell", "of") * 60, ("B-x", "O") * 60)
    tagger = new_tagger(LABELS, encoder=str(encoder_dir), max_length=32)
    data, inputs = tagging_dataset([long], tagger.tokenizer, LABELS, scheme="IOB2", max_length=32)
    labels = [x for row in data["label"] for x in row if x != NO_LABEL]
    assert len(data) > 1 == inputs.n_windowed
    assert sorted(labels) == [0] * 60 + [1] * 60


@pytest.mark.parametrize("head", ["softmax", "crf"])
def test_accumulated_gradients_are_those_of_one_batch(head, task, encoder_dir):
    """Of sentences of unlike length: each label counts once, wherever its sentence is."""
    weights = []
    for size in (12, 3):
        tagger = new_tagger(LABELS, encoder=str(encoder_dir), head=head, max_length=32)
        data, _ = tagging_dataset(task.train[:12], tagger.tokenizer, LABELS, scheme="IOB2", max_length=32)
        model = tagger.model.double().eval()
        optimizer = loop.make_optimizer(model, SETTINGS)
        batches = list(loop.micro_batches(data, np.arange(12), tagger.tokenizer, batch_size=size))
        if head == "crf":  # whose sums are in single precision
            model.crf.float()
        loss = loop.training_step(model, batches, optimizer, get_constant_schedule(optimizer), bf16=False)
        weights.append((loss, torch.cat([p.grad.flatten().double() for p in model.parameters() if p.grad is not None])))
    assert weights[0][0] == pytest.approx(weights[1][0], rel=1e-5)
    assert torch.allclose(weights[0][1], weights[1][1], atol=1e-6)


def test_a_judge_scores_words_and_lists_mistakes(task, encoder_dir):
    tagger = new_tagger(LABELS, encoder=str(encoder_dir), max_length=32)
    judge = TagJudge(task.validation, tagger.tokenizer, LABELS, scheme="IOB2", max_length=32)
    scores = judge.scores(tagger.model)
    table = judge.mistakes(4)
    words = [
        (a, b) for s, found in zip(task.validation, judge.tags, strict=True) for a, b in zip(s.tags, found, strict=True)
    ]
    assert len(table) == sum(a != b for a, b in words)
    assert scores["validation_accuracy"] == pytest.approx(1 - len(table) / len(words))
    row = table.iloc[0]
    assert (row["epoch"], task.validation[row["sentence"]].tokens[row["word"]]) == (4, row["token"])
    gold = [label for row in judge.labels_of_rows() for label in row if label != NO_LABEL]
    assert gold == [label for truth in judge.truth for label in truth]
    assert 0.1 < judge.temperature() < 20


@pytest.mark.parametrize("head", ["softmax", "crf"])
def test_a_range_test_of_a_tagger(head, task, encoder_dir):
    found = tagger_range_test(task, encoder=str(encoder_dir), head=head, settings=SETTINGS, steps=40, low=1e-5)
    assert len(found.rates) > 10
    assert found.smoothed.min() < found.smoothed[0]


def test_what_does_not_fit(task, encoder_dir, tmp_path):
    call = {"encoder": str(encoder_dir), "out": tmp_path, "progress": False}
    with pytest.raises(UsageError, match="route"):
        train_tagger(task, route="magic", **call)
    with pytest.raises(UsageError, match="CRF"):
        train_tagger(task, route="trainer", head="crf", settings=SETTINGS, **call)
    with pytest.raises(UsageError, match="B-z"):
        train_tagger(replace(task, train=[Sentence(("a",), ("B-z",))]), settings=SETTINGS, **call)
    with pytest.raises(UsageError, match="training part"):
        make_task(EntityCorpus("empty", {"test": sentences(2)}, ("x",), "IOB2", {}))
