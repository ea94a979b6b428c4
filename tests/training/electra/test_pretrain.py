import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bioutils.encoders import load_classifier, load_encoder, load_token_classifier, load_tokenizer
from bioutils.errors import BioutilsError, DataError, UsageError
from bioutils.files import read_json, write_json
from bioutils.training.electra import objective
from bioutils.training.electra import pretrain as module
from bioutils.training.electra.commands import main
from bioutils.training.electra.export import export
from bioutils.training.electra.pretrain import pretrain, rows_of_step

from .conftest import write_text

ROOT = Path(__file__).resolve().parents[3]


def test_every_row_once_an_epoch():
    rows = np.concatenate([rows_of_step(step, n_rows=10, batch_size=4, seed=0) for step in range(5)])
    assert sorted(rows[:10]) == sorted(rows[10:]) == list(range(10))
    assert list(rows[:10]) != list(rows[10:])
    assert list(rows_of_step(2, n_rows=10, batch_size=4, seed=0)) == list(rows[8:12])


def test_it_learns(examples, tiny, tmp_path):
    settings = replace(
        tiny, hidden_size=32, head_size=16, embedding_size=32, generator_share=1.0, detection_weight=5.0, steps=150,
        batch_size=16, dropout=0.0, learning_rate=5e-3,
    )  # fmt: skip
    result = pretrain(examples, tmp_path, settings=settings, evaluate_every=50, progress=False)
    history = result.history
    assert list(history["step"]) == [50, 100, 150]
    assert history["generator_loss"].is_monotonic_decreasing
    assert history["generator_loss"].iloc[-1] < 0.7 * np.log(200)  # nats; who knows nothing has log(200)
    assert history["train_detection_loss"].is_monotonic_decreasing
    assert history["detection_auc"].between(0.4, 1).all()
    assert 0 < history["base_rate"].iloc[-1] < 0.15
    assert history["detection_accuracy"].between(0, 1).all()
    lines = (tmp_path / "pretrain.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [50, 100, 150]
    assert result.tokens == 150 * 16 * 32
    notes = read_json(result.model_dir / "bioutils.json")
    assert notes["scores"]["step"] == 150
    assert notes["examples"]["length"] == 32
    assert not (tmp_path / "checkpoints").exists()
    # What is saved is an encoder like any other.
    tokenizer, encoder = load_tokenizer(str(result.model_dir)), load_encoder(str(result.model_dir))
    assert encoder(**tokenizer("p53 binds Akt.", return_tensors="pt")).last_hidden_state.shape[-1] == 32
    assert load_classifier(str(result.model_dir), labels=["a", "b"]).config.num_labels == 2
    assert load_token_classifier(str(result.model_dir), labels=["O", "B-x"]).config.num_labels == 2


def test_filling_in_alone(examples, tiny, tmp_path, capsys):
    settings = replace(
        tiny, objective="mlm", hidden_size=32, head_size=16, embedding_size=32, steps=150, batch_size=16, dropout=0.0,
        learning_rate=5e-3,
    )  # fmt: skip
    run = tmp_path / "run"
    pretrain(examples, run, settings=replace(tiny, steps=1), progress=False)
    assert (run / "generator").exists()
    result = pretrain(examples, run, settings=settings, evaluate_every=50, overwrite=True, progress=False)
    assert result.generator_dir is None
    assert not (run / "generator").exists(), "of the run that was replaced"
    assert result.history["generator_loss"].is_monotonic_decreasing
    assert result.history["generator_loss"].iloc[-1] < 0.7 * np.log(200)
    assert list(result.history) == [
        "step", "tokens", "seconds", "train_generator_loss", "generator_loss", "generator_accuracy",
    ]  # fmt: skip
    again = pretrain(examples, run, settings=settings, resume=True, progress=False)
    assert again.found
    assert again.history.equals(result.history)
    with pytest.raises(UsageError, match="objective"):
        pretrain(examples, run, settings=replace(settings, objective="electra"), resume=True, progress=False)
    out = export(run, tmp_path / "encoder")
    card = (out / "README.md").read_text()
    assert "by filling in masked tokens, as BERT" in card
    assert "it fills in" in card
    assert "AUC" not in card
    inputs = load_tokenizer(str(out))("p53 binds Akt.", return_tensors="pt")
    with torch.no_grad():
        ours, theirs = (load_encoder(str(f))(**inputs).last_hidden_state for f in (out, result.model_dir))
    assert torch.allclose(ours, theirs, atol=2e-2)
    with pytest.raises(UsageError, match="Leave out --generator"):
        export(run, tmp_path / "other", generator=True)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    generator = folder / "generator" / "model.safetensors"  # none where it is the encoder
    return load_file(folder / "model" / "model.safetensors") | {
        f"generator.{k}": v for k, v in (load_file(generator) if generator.exists() else {}).items()
    }


def same(a: dict, b: dict, **tolerance) -> bool:
    return a.keys() == b.keys() and all(
        torch.allclose(a[k], b[k], **tolerance) if tolerance else torch.equal(a[k], b[k]) for k in a
    )


@pytest.mark.parametrize("change", [{}, {"warm_start": 0.5}, {"objective": "mlm"}])
def test_resumed_training_is_the_same_bit_for_bit(examples, tiny, tmp_path, monkeypatch, change):
    assert tiny.dropout > 0
    tiny = replace(tiny, **change)
    pretrain(examples, tmp_path / "whole", settings=tiny, evaluate_every=2, progress=False)

    original, calls = module.training_step, []

    def breaks(*args, **options):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(*args, **options)

    monkeypatch.setattr(module, "training_step", breaks)
    with pytest.raises(KeyboardInterrupt):
        pretrain(examples, tmp_path / "cut", settings=tiny, evaluate_every=2, progress=False)
    monkeypatch.setattr(module, "training_step", original)
    result = pretrain(examples, tmp_path / "cut", settings=tiny, evaluate_every=2, resume=True, progress=False)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    assert list(result.history["step"]) == [2, 4, 6]
    other = pretrain(examples, tmp_path / "other", settings=replace(tiny, seed=1), evaluate_every=6, progress=False)
    assert not same(weights(tmp_path / "whole"), weights(other.model_dir.parent))


def test_a_warm_start_ends_when_it_should(examples, tiny, tmp_path):
    result = pretrain(
        examples, tmp_path, settings=replace(tiny, warm_start=0.5), evaluate_every=2, progress=False
    )  # 6 steps
    filling, detecting = result.history["train_filling_loss"].notna(), result.history["train_detection_loss"].notna()
    assert list(filling) == [True, True, False]
    assert list(detecting) == [False, True, True]  # the second look is at one step of each kind
    assert load_encoder(str(result.model_dir)).config.hidden_size == tiny.hidden_size
    assert not any("filler" in name for name in load_file(result.model_dir / "model.safetensors"))


def test_a_checkpoint_of_another_vocabulary_or_other_settings(examples, tiny, tmp_path, monkeypatch):
    original = module.save_networks
    monkeypatch.setattr(module, "save_networks", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        pretrain(examples, tmp_path, settings=tiny, evaluate_every=2, progress=False)
    monkeypatch.setattr(module, "save_networks", original)
    other = replace(tiny, learning_rate=0.1, seed=1)
    told = "another run: settings: learning_rate 0.001 in the checkpoint, 0.1 in this run; settings: seed 42 in the"
    with pytest.raises(UsageError, match=told) as error:
        pretrain(examples, tmp_path, settings=other, resume=True, progress=False)
    assert "hidden_size" not in str(error.value)  # what is alike is not told
    tokenizer = examples.tokenizer()
    monkeypatch.setattr(examples, "tokenizer", lambda: tokenizer)
    monkeypatch.setitem(examples.facts, "vocabulary", "another")
    with pytest.raises(UsageError, match="vocabulary"):
        pretrain(examples, tmp_path, settings=tiny, resume=True, progress=False)


def test_a_damaged_checkpoint(examples, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "save_networks", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        pretrain(examples, tmp_path, settings=tiny, progress=False)
    last = tmp_path / "checkpoints" / "last"
    progress = read_json(last / "progress.json")
    without = {name: value for name, value in progress.items() if name != "step"}
    for damaged, lacks in (({}, "identity"), ([], "identity"), (without, "step")):
        write_json(last / "progress.json", damaged)
        with pytest.raises(
            DataError, match=rf"progress\.json: Expected the checkpoint's progress .*'{lacks}'.*start anew"
        ):
            pretrain(examples, tmp_path, settings=tiny, resume=True, progress=False)
    write_json(last / "progress.json", progress | {"scheduler": {}})
    with pytest.raises(DataError, match="last: The checkpoint is damaged"):
        pretrain(examples, tmp_path, settings=tiny, resume=True, progress=False)
    write_json(last / "progress.json", progress)
    weights = (last / "optimizer.safetensors").read_bytes()
    (last / "optimizer.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(DataError, match="last: The checkpoint is damaged"):
        pretrain(examples, tmp_path, settings=tiny, resume=True, progress=False)


# So large an epsilon makes AdamW's step nearly the gradient itself. By default it makes a whole step of a gradient that is mere
# rounding (a key's bias has none), which no comparison would survive.
LIKE_SGD = {"epsilon": 1.0, "learning_rate": 0.5}


def test_accumulated_batches_are_one(examples, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_NORM", 1e9)  # clipped, gradients of any scale are one
    settings = replace(tiny, dropout=0.0, **LIKE_SGD, steps=2)
    pretrain(examples, tmp_path / "one", settings=settings, progress=False)
    pretrain(examples, tmp_path / "four", settings=replace(settings, accumulation=4), progress=False)
    assert same(weights(tmp_path / "one"), weights(tmp_path / "four"), rtol=1e-4, atol=1e-6)


CALL = """
import os, sys
from bioutils.training.electra import pretrain
from bioutils.training.electra.commands import main

pretrain.MAX_NORM = float(os.environ["MAX_NORM"])
left, step = [int(os.environ["STEPS"])], pretrain.training_step

def stops(*args, **options):
    left[0] -= 1
    return step(*args, **options) if left[0] >= 0 else os._exit(3)

pretrain.training_step = stops
sys.exit(main())
"""


def launched(folder, *call, processes=1, steps=99, max_norm=1e9) -> int:
    """The exit code of the command in processes of its own; after ``steps`` they fall dead."""
    (folder / "call.py").write_text(CALL)
    many = ["-m", "torch.distributed.run", "--nproc_per_node", str(processes), "--standalone"] if processes > 1 else []
    environment = os.environ | {
        "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "MAX_NORM": str(max_norm), "STEPS": str(steps),
    }  # fmt: skip
    command = [sys.executable, *many, str(folder / "call.py"), *map(str, call)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 or steps < 99, done.stderr[-3000:]
    return done.returncode


def narrow(examples):
    return [
        "pretrain", examples.folder, "--batch-size", "8", "--layers", "1", "--hidden-size", "64", "--embedding-size", "16",
        "--precision", "fp32",
    ]  # fmt: skip


@pytest.mark.slow
def test_two_processes_do_what_one_does_with_all_rows(examples, tmp_path):
    call = [*narrow(examples), "--steps", "3", "--dropout", "0", "--epsilon", "1.0", "--learning-rate", "0.5"]
    for name, processes in (("one", 1), ("two", 2)):
        launched(tmp_path, *call, "--out", tmp_path / name, processes=processes)
    assert read_json(tmp_path / "two" / "model" / "bioutils.json")["machine"].startswith("2 ×")
    assert same(weights(tmp_path / "one"), weights(tmp_path / "two"), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_two_processes_go_on_each_with_its_own_dropout(examples, tmp_path):
    call = [*narrow(examples), "--steps", "4", "--dropout", "0.5", "--evaluate-every", "2"]
    launched(tmp_path, *call, "--out", tmp_path / "whole", processes=2, max_norm=1.0)
    assert launched(tmp_path, *call, "--out", tmp_path / "cut", processes=2, max_norm=1.0, steps=3)
    states = load_file(tmp_path / "cut" / "checkpoints" / "last" / "optimizer.safetensors")["random"]
    assert not torch.equal(states[0], states[1])
    launched(tmp_path, *call, "--out", tmp_path / "cut", "--resume", processes=2, max_norm=1.0)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))


@pytest.mark.parametrize(("steps", "when"), [(4, "in step 3"), (2, "on held-back text after step 2")])
def test_a_loss_that_is_no_number_ends_training(examples, tiny, tmp_path, monkeypatch, steps, when):
    original, calls = module.training_step, []

    def spoils(model, *args, **options):
        found = original(model, *args, **options)
        calls.append(1)
        if len(calls) == 2:
            model.discriminator.discriminator_predictions.dense.bias.data[0] = torch.nan
        return found

    monkeypatch.setattr(module, "training_step", spoils)
    settings = replace(tiny, steps=steps, warmup=0.0)
    rate = 5e-4  # of the fourth, or the second, step on its way down to 0
    with pytest.raises(
        BioutilsError, match=rf"not finite {when}, at a learning rate of {rate:.3g}: detection_loss nan"
    ):
        pretrain(examples, tmp_path, settings=settings, evaluate_every=steps, progress=False)
    assert not (tmp_path / "model").exists()
    assert not (tmp_path / "pretrain.jsonl").exists()
    assert not (tmp_path / "checkpoints").exists()


def test_an_auc_of_one_class_is_none(examples, tiny, tmp_path, monkeypatch):
    # The generator's choice is always the original, so nothing is replaced.
    forward = objective.Electra.forward

    def faultless(self, input_ids, chosen, draw, original, warm=False):
        with monkeypatch.context() as patch:
            patch.setattr(objective, "sample", lambda logits, draw: original[chosen])
            return forward(self, input_ids, chosen, draw, original, warm)

    monkeypatch.setattr(objective.Electra, "forward", faultless)
    result = pretrain(examples, tmp_path / "run", settings=replace(tiny, steps=1), progress=False)
    line = (tmp_path / "run" / "pretrain.jsonl").read_text()
    row = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (row["detection_auc"], row["base_rate"], row["detection_recall"]) == (None, 0.0, 0.0)
    assert result.history["detection_auc"].dtype == float
    assert result.history["detection_auc"].isna().all()
    assert pretrain(examples, tmp_path / "run", settings=replace(tiny, steps=1), resume=True).history.equals(
        result.history
    )
    assert "where 0.0 % are replaced" in (export(tmp_path / "run", tmp_path / "e") / "README.md").read_text()


def test_what_the_last_steps_had_not_is_not_printed(examples, tmp_path, capsys):
    call = [*map(str, narrow(examples)), "--steps", "4", "--warm-start", "0.5", "--evaluate-every", "2"]
    assert main([*call, "--out", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert "train_detection_loss" in out
    assert "filling" not in out
    assert "nan" not in out


def test_batches_that_do_not_divide_and_rows_too_long(examples, tiny, tmp_path):
    with pytest.raises(UsageError, match="at most the 16 positions"):
        pretrain(examples, tmp_path, settings=replace(tiny, positions=16), progress=False)


def test_the_commands_from_text_to_an_encoder(tmp_path, capsys):
    text, built, run, out = (tmp_path / name for name in ("a.txt", "built", "run", "encoder"))
    write_text(text)
    (tmp_path / "left.txt").write_text("p53 binds Akt in the nucleus after 7 minutes.\n")
    build = ["build", str(text), "--out", str(built), "--size", "200", "--length", "32", "--validation", "0.2"]
    assert main([*build, "--processes", "1", "--leave-out", str(tmp_path / "left.txt")]) == 0
    assert "near" in capsys.readouterr().out
    train = ["pretrain", str(built), "--out", str(run), "--steps", "2", "--layers", "1", "--hidden-size", "64"]
    assert main(["export", str(run), "--out", str(out)]) == 2
    assert main([*train, "--batch-size", "4", "--accumulation", "3"]) == 2
    assert "divisor of batch_size" in capsys.readouterr().err
    assert main([*train, "--batch-size", "4"]) == 0
    assert "detection_auc" in capsys.readouterr().out
    assert main(["export", str(run), "--out", str(out)]) == 0
    assert main(["export", str(run), "--out", str(out)]) == 2
    stored = load_file(out / "model.safetensors")
    assert {t.dtype for t in stored.values()} == {torch.float16}
    encoder, before = load_encoder(str(out)), load_encoder(str(run / "model"))
    assert next(encoder.parameters()).dtype == torch.float32
    inputs = load_tokenizer(str(out))("p53 binds Akt.", return_tensors="pt")
    with torch.no_grad():
        assert torch.allclose(encoder(**inputs).last_hidden_state, before(**inputs).last_hidden_state, atol=2e-2)
    card = (out / "README.md").read_text()
    assert "2 steps of 4 rows × 32 tokens, 256 tokens read" in card
    assert "AUC" in card
    assert main(["flops"]) == 0
    assert "1.294e+18" in capsys.readouterr().out
    assert main(["build", str(tmp_path / "missing.txt"), "--out", str(tmp_path / "x")]) == 1
    assert main(["pretrain", str(tmp_path), "--out", str(run)]) == 2
