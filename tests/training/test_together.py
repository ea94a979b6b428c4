"""Several tasks on one encoder."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bioutils.corpora.conll import Sentence
from bioutils.corpora.entities import EntityCorpus
from bioutils.corpora.records import Span
from bioutils.corpora.relations import Example, RelationCorpus
from bioutils.errors import UsageError
from bioutils.files import read_json
from bioutils.heads.tagging import NO_LABEL
from bioutils.models import SIDECAR, load_model
from bioutils.taggers import load_tagger
from bioutils.training.judges import logits_on
from bioutils.training.loop import micro_batches, training_step
from bioutils.training.optimizers import make_optimizer, parameter_groups
from bioutils.training.relation_tasks import Fold, Task
from bioutils.training.tagging import make_task
from bioutils.training.together import (
    TOGETHER,
    mixed_steps,
    relation_member,
    share_encoder,
    tagger_member,
    train_together,
)

SETTINGS = replace(TOGETHER, epochs=12, learning_rate=1e-2, max_length=32, batch_size=8, precision="fp32", warmup=0)


def tagging(name: str, word: str, n: int = 40):
    """One word is an entity, another is none."""
    kinds = [(("growth", "of", word), ("O", "O", "B-x")), (("number", "of", "cells"), ("O", "O", "O"))]
    parts = {
        part: [Sentence(*kinds[i % 2], document=f"{part}{i // 4}") for i in range(size)]
        for part, size in (("train", n), ("validation", 8), ("test", 8))
    }
    return make_task(EntityCorpus(name, parts, ("x",), "IOB2", {}))


def relating(n: int = 40) -> tuple[Task, Fold]:
    """A word between two entities tells the relation."""
    found = []
    for i in range(n):
        word = ("binding", "growth")[i % 2]
        end = 9 + len(word) + 3
        spans = Span("T1", "A", ((4, 8),), "cell"), Span("T2", "B", ((end, end + 4),), "zinc")
        found.append(Example(f"e{i}", f"g{i // 4}", f"the cell {word} a zinc", *spans, ("no", "yes")[i % 2]))
    corpus = RelationCorpus("relating", "brat", {}, ("no", "yes"))
    rows, labels = np.arange(n), np.array([i % 2 for i in range(n)])
    task = Task(corpus, found, np.array(["all"] * n), labels, np.array([e.group for e in found]))
    return task, Fold(rows[:24], rows[24:32], rows[32:])


@pytest.fixture
def members(encoder_dir):
    """A softmax tagger, a CRF tagger and a classifier of relations, on encoders of their own so far."""
    common = {"encoder": str(encoder_dir), "settings": SETTINGS}
    return [
        relation_member(*relating(), **common),
        tagger_member(tagging("zincs", "zinc"), **common),
        tagger_member(tagging("lipids", "lipids"), head="crf", **common),
    ]


def test_the_encoder_is_one_and_learns_once(members):
    before = [sum(p.numel() for p in member.model.parameters()) for member in members]
    whole = share_encoder([member.model for member in members])
    relation, zincs, lipids = (member.model for member in members)
    assert relation.encoder is zincs.base_model is lipids.tagger.base_model
    encoder = sum(p.numel() for p in zincs.base_model.parameters())
    pooler = before[0] - sum(p.numel() for p in relation.parameters())  # the tagger's encoder has none
    assert sum(p.numel() for p in whole.parameters()) == sum(before) - 2 * encoder - pooler
    names = dict(whole.named_parameters())
    groups = parameter_groups(whole, SETTINGS)
    assert sum(len(group["params"]) for group in groups) == len(names)
    fast = {id(p) for group in groups if group["lr"] == SETTINGS.learning_rate * 50 for p in group["params"]}
    assert fast == {id(p) for name, p in names.items() if name.startswith("2.crf.")}, "a CRF keeps its rate"


def test_a_step_moves_its_own_head_and_what_all_share(members):
    whole = share_encoder([member.model for member in members])
    optimizer = make_optimizer(whole, replace(SETTINGS, weight_decay=0.5))
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, 1)
    for chosen, member in enumerate(members):  # the second and third steps with moments from those before
        before = {name: p.detach().clone() for name, p in whole.named_parameters()}
        rows = np.arange(8)
        batches = list(micro_batches(member.train, rows, member.tokenizer, batch_size=8))
        training_step(member.model, batches, optimizer, scheduler, bf16=False)
        moved = {name for name, p in whole.named_parameters() if not torch.equal(p, before[name])}
        shared = {name for name in before if ".encoder." in name or ".embeddings." in name}
        heads = {i: {n for n in before if n.startswith(f"{i}.")} - shared for i in range(3)}
        assert moved & shared
        assert moved & heads[chosen]
        for other in {0, 1, 2} - {chosen}:
            assert not moved & heads[other], "nor does decay pull at the weights of another task's head"


def test_the_loss_is_each_task_s_own(members, encoder_dir):
    alone = tagger_member(tagging("zincs", "zinc"), encoder=str(encoder_dir), settings=SETTINGS)
    share_encoder([member.model for member in members])
    found = []
    for member in (alone, members[1]):
        ((inputs, labels),) = micro_batches(member.train, np.arange(8), member.tokenizer, batch_size=8)
        with torch.no_grad():
            logits = member.model.eval()(**inputs).logits
        assert (labels != NO_LABEL).sum() == 24
        found.append(logits)
    torch.testing.assert_close(*found)


def test_every_row_once_an_epoch_and_the_tasks_mixed(members):
    steps = list(mixed_steps(members, SETTINGS, 1))
    for member in members:
        rows = np.concatenate([rows for whose, rows in steps if whose is member])
        assert sorted(rows) == list(range(len(member.train)))
    order = [whose.name for whose, _ in steps]
    assert sum(a != b for a, b in pairwise(order)) > len(members) - 1, "not one task after the other"
    again = [(whose.name, rows.tolist()) for whose, rows in mixed_steps(members, SETTINGS, 1)]
    assert again == [(whose.name, rows.tolist()) for whose, rows in steps]
    assert [n for n, _ in again] != [whose.name for whose, _ in mixed_steps(members, SETTINGS, 2)]


def test_all_are_learned_and_each_is_saved_whole(members, encoder_dir, tmp_path):
    results = train_together(members, encoder=str(encoder_dir), out=tmp_path, settings=SETTINGS, progress=False)
    assert list(results) == ["relating", "zincs", "lipids"]
    assert len({result.best_epoch for result in results.values()}) == 1, "one encoder, so one epoch"
    for name, result in results.items():
        best = result.history.set_index("epoch").loc[result.best_epoch]
        assert best["validation_macro_f1"] == 1, name
        notes = read_json(result.model_dir / SIDECAR)
        assert notes["together"] == ["relating", "zincs", "lipids"]
        assert notes["temperature"] == result.temperature
        assert len(result.mistakes) == 0
    for name, word in (("zincs", "zinc"), ("lipids", "lipids")):
        tagger = load_tagger(results[name].model_dir)
        assert tagger.tag_words([["growth", "of", word], ["number", "of", "cells"]]) == [["O", "O", "B-x"], ["O"] * 3]
    task, fold = relating()
    loaded = load_model(results["relating"].model_dir)
    member = members[0]
    logits = logits_on(loaded.model, loaded.tokenizer, member.judge.data)
    np.testing.assert_allclose(logits, logits_on(member.model, member.tokenizer, member.judge.data), atol=1e-5)
    assert (logits.argmax(1) == task.labels[fold.validation]).all()
    ours = load_file(results["relating"].model_dir / "encoder" / "model.safetensors")
    theirs = load_file(results["zincs"].model_dir / "model.safetensors")
    common = [name for name in ours if f"bert.{name}" in theirs]
    assert len(common) > 10
    assert all(torch.equal(ours[name], theirs[f"bert.{name}"]) for name in common)


def test_the_epoch_is_the_best_of_the_mean(members, encoder_dir, tmp_path, monkeypatch):
    course = {"relating": [0.9, 0.2, 0.4, 0.9], "zincs": [0.1, 0.9, 0.8, 0.0], "lipids": [0.1, 0.5, 0.5, 0.0]}
    for member in members:
        scores = iter([*course[member.name], 0.0])  # once more for the temperature
        monkeypatch.setattr(
            member.judge, "scores", lambda model, s=scores: {"validation_loss": 1.0, "validation_macro_f1": next(s)}
        )
        monkeypatch.setattr(member.judge, "temperature", lambda: 1.0)
        monkeypatch.setattr(member.judge, "mistakes", lambda epoch: None)
    patient = replace(SETTINGS, epochs=9, patience=1)
    results = train_together(members, encoder=str(encoder_dir), out=tmp_path, settings=patient, progress=False)
    assert {result.best_epoch for result in results.values()} == {3}
    assert len(results["zincs"].history) == 4, "and no patience beyond the fourth"
    assert read_json(results["zincs"].model_dir / SIDECAR)["validation_macro_f1"] == 0.8


def test_the_same_seed_gives_the_same_weights(encoder_dir, tmp_path):
    def weights(seed: int, out):
        settings = replace(SETTINGS, epochs=1, seed=seed)
        common = {"encoder": str(encoder_dir), "settings": settings}
        pair = [tagger_member(tagging(word, word), **common) for word in ("zinc", "lipids")]
        train_together(pair, encoder=str(encoder_dir), out=out, settings=settings, progress=False)
        return load_file(out / "zinc" / "model" / "model.safetensors")

    one, two, other = (weights(seed, tmp_path / str(i)) for i, seed in enumerate((1, 1, 2)))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_what_cannot_be_is_told(members, encoder_dir, tmp_path):
    common = {"encoder": str(encoder_dir), "out": tmp_path, "progress": False}
    for wrong in (members[:1], [members[1], members[1]]):
        with pytest.raises(UsageError, match="two or more with names of their own"):
            train_together(wrong, settings=SETTINGS, **common)
    with pytest.raises(UsageError, match=r"one of all these tasks, found 'micro_f1'.*accuracy.*loss.*macro_f1"):
        train_together(members, settings=replace(SETTINGS, metric="micro_f1", epochs=1), **common)
    with pytest.raises(UsageError, match="adds no tokens to a shared encoder"):
        relation_member(*relating(), encoder=str(encoder_dir), marking="markers")
    other = tagger_member(tagging("more", "zinc"), encoder="random:electra-tiny", settings=SETTINGS)
    with pytest.raises(UsageError, match="encoders differ"):
        share_encoder([members[1].model, other.model])
    assert not any(tmp_path.iterdir())
