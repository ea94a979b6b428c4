import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback, get_constant_schedule

from bioutils.encoders import load_classifier, load_tokenizer
from bioutils.errors import DataError, UsageError
from bioutils.features import tokenise
from bioutils.training import loop
from bioutils.training.arguments import TrainingSettings

SETTINGS = TrainingSettings(
    epochs=3, batch_size=6, learning_rate=0.01, max_length=16, precision="fp32", patience=0, seed=1
)
LONGER = replace(SETTINGS, epochs=40)  # the tiny encoder knows nothing: it takes a while


def train(dataset, encoder, out, settings=SETTINGS, **more):
    return loop.train_natively(dataset, encoder=str(encoder), settings=settings, out=out, progress=False, **more)


def weights(result):
    return load_file(result.model_dir / "model.safetensors")


@pytest.fixture(scope="module")
def trained(tiny_dataset, encoder_dir, tmp_path_factory):
    return train(tiny_dataset, encoder_dir, tmp_path_factory.mktemp("native"))


class StopAfter(TrainerCallback):
    """Breaks off while the second epoch's results are told."""

    def on_log(self, args, state, control, **kwargs):
        if state.epoch == 2:
            raise KeyboardInterrupt


def test_it_learns_and_writes_what_the_trainer_writes(trained, tiny_dataset):
    assert trained.history["epoch"].tolist() == [1, 2, 3]
    assert trained.history["train_loss"].iloc[-1] < trained.history["train_loss"].iloc[0]
    notes = json.loads((trained.model_dir / "bioutils.json").read_text())
    assert notes["max_length"] == 16
    assert notes["temperature"] == trained.temperature
    assert not (trained.model_dir.parent / "checkpoints").exists()
    lines = [json.loads(x) for x in (trained.model_dir.parent / "train.jsonl").read_text().splitlines()]
    assert [x["step"] for x in lines] == [6, 12, 18]


def test_the_same_seed_gives_the_same_weights_and_another_does_not(trained, tiny_dataset, encoder_dir, tmp_path):
    again, other = (
        train(tiny_dataset, encoder_dir, tmp_path / str(seed), replace(SETTINGS, seed=seed)) for seed in (1, 2)
    )
    first, second, third = weights(trained), weights(again), weights(other)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], third[name]) for name in first)


def test_resuming_continues_bit_for_bit(trained, tiny_dataset, encoder_dir, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tiny_dataset, encoder_dir, tmp_path, callbacks=[StopAfter()])
    assert (tmp_path / "checkpoints" / "last" / "progress.json").is_file()
    resumed = train(tiny_dataset, encoder_dir, tmp_path, resume=True)
    first, second = weights(trained), weights(resumed)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert resumed.history.equals(trained.history)
    assert resumed.mistakes.equals(trained.mistakes)
    steps = [json.loads(line)["step"] for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert steps == [6, 12, 18]


def test_a_checkpoint_of_another_run_is_refused_with_both_named(tiny_dataset, encoder_dir, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tiny_dataset, encoder_dir, tmp_path, callbacks=[StopAfter()])
    with pytest.raises(UsageError, match=r"settings: learning_rate 0.01 in the checkpoint, 0.02 in this run. Call"):
        train(tiny_dataset, encoder_dir, tmp_path, replace(SETTINGS, learning_rate=0.02), resume=True)
    fewer = tiny_dataset.copy()
    fewer["train"] = tiny_dataset["train"].select(range(30))
    with pytest.raises(UsageError, match="training rows"):
        train(fewer, encoder_dir, tmp_path, resume=True)
    file = tmp_path / "checkpoints" / "last" / "optimizer.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DataError, match="damaged"):
        train(tiny_dataset, encoder_dir, tmp_path, resume=True)


def test_the_loop_and_the_trainer_agree(tiny_dataset, encoder_dir, tmp_path):
    from bioutils.training.trainer import train_classifier

    call = {"encoder": str(encoder_dir), "settings": LONGER, "progress": False}
    ours = loop.train_natively(tiny_dataset, out=tmp_path / "loop", **call)
    other = train_classifier(tiny_dataset, out=tmp_path / "trainer", **call)
    for result in (ours, other):
        assert result.history["validation_accuracy"].max() > 0.9  # at most one of the twelve texts is wrong


def one_step(tiny_dataset, encoder_dir, batch_size, accumulation):
    """The weights after one step on the first 32 rows, without dropout."""
    model, tokenizer = load_classifier(str(encoder_dir), labels=list("abc"), seed=0), load_tokenizer(str(encoder_dir))
    model.eval().double()  # no dropout, no rounding: AdamW makes a whole step of a gradient that is nothing but rounding
    settings = replace(SETTINGS, batch_size=batch_size, accumulation=accumulation)
    optimizer = loop.make_optimizer(model, settings)
    data = tokenise(tiny_dataset["train"], tokenizer, max_length=16)
    batches = list(loop.micro_batches(data, np.arange(32), tokenizer, batch_size=batch_size))
    assert len(batches) == accumulation
    loss = loop.training_step(model, batches, optimizer, get_constant_schedule(optimizer), bf16=False)
    return loss, model.state_dict()


def test_four_accumulated_batches_of_eight_equal_one_of_thirty_two(tiny_dataset, encoder_dir):
    loss, accumulated = one_step(tiny_dataset, encoder_dir, 8, 4)
    loss_of_32, whole = one_step(tiny_dataset, encoder_dir, 32, 1)
    assert loss == pytest.approx(loss_of_32, abs=1e-6)
    assert all(torch.allclose(accumulated[name], whole[name], atol=1e-5, rtol=0) for name in whole)
    start = load_classifier(str(encoder_dir), labels=list("abc"), seed=0).double().state_dict()
    assert not any(torch.allclose(start[name], whole[name], atol=1e-3) for name in start if "classifier" in name)


def test_an_epoch_has_every_row_once_and_little_padding():
    lengths = np.random.default_rng(0).integers(5, 60, 1000)
    steps = loop.epoch_order(lengths, rows_a_step=8, seed=3)
    assert sorted(np.concatenate(steps)) == list(range(1000))
    assert max(map(len, steps)) == 8
    spread = np.mean([np.ptp(lengths[rows]) for rows in steps])
    assert spread < 5
    assert not np.array_equal(steps[0], loop.epoch_order(lengths, rows_a_step=8, seed=4)[0])


def test_a_small_corpus_is_not_sorted_whole():
    lengths = np.arange(64)
    steps = loop.epoch_order(lengths, rows_a_step=8, seed=0)
    assert len(steps) == 8
    assert not any(np.ptp(lengths[rows]) == 7 for rows in steps)  # so it would be, were all 64 rows sorted together
    assert loop.epoch_order(lengths[:3], rows_a_step=8, seed=0)[0].size == 3


def test_decay_is_kept_off_biases_and_norms(encoder_dir):
    model = load_classifier(str(encoder_dir), labels=list("abc"))
    decayed, free = loop.parameter_groups(model, TrainingSettings(weight_decay=0.1))
    names = {id(p): name for name, p in model.named_parameters()}
    assert all("bias" in names[id(p)] or "LayerNorm" in names[id(p)] for p in free["params"])
    assert not any("bias" in names[id(p)] or "LayerNorm" in names[id(p)] for p in decayed["params"])
    assert len(decayed["params"]) + len(free["params"]) == len(names)
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)


def test_parts_of_a_model_may_learn_faster(encoder_dir):
    model = load_classifier(str(encoder_dir), labels=list("abc"))
    model.rates = {"classifier.": 50.0}
    groups = loop.parameter_groups(model, TrainingSettings(learning_rate=1e-4, weight_decay=0.1))
    assert [(g["lr"], g["weight_decay"]) for g in groups] == [
        (1e-4, 0.1),
        (1e-4, 0.0),
        (pytest.approx(5e-3), 0.1),
        (pytest.approx(5e-3), 0.0),
    ]
    fast = {id(w) for group in groups[2:] for w in group["params"]}
    assert fast == {id(w) for name, w in model.named_parameters() if name.startswith("classifier.")}


def test_a_metric_that_the_judge_has_not(tiny_dataset, encoder_dir, tmp_path):
    with pytest.raises(UsageError, match="micro_f1"):
        train(tiny_dataset, encoder_dir, tmp_path, replace(SETTINGS, metric="micro_f1"))


def test_patience_ends_training_early(tiny_dataset, encoder_dir, tmp_path):
    settings = replace(SETTINGS, epochs=10, learning_rate=1e-9, patience=2)  # nothing is learned
    assert train(tiny_dataset, encoder_dir, tmp_path, settings).history["epoch"].tolist() == [1, 2, 3]


def test_max_length_beyond_the_encoder(tiny_dataset, encoder_dir, tmp_path):
    with pytest.raises(UsageError, match="at most the 64"):
        train(tiny_dataset, encoder_dir, tmp_path, TrainingSettings(max_length=100))


def test_the_epoch_of_the_lowest_loss(tiny_dataset, encoder_dir, tmp_path):
    result = train(tiny_dataset, encoder_dir, tmp_path, replace(SETTINGS, metric="loss", learning_rate=0.05))
    assert result.best_epoch == result.history["validation_loss"].argmin() + 1
    assert result.best_epoch < len(result.history), "a rate at which the loss never rises shows nothing"
