import json

import pytest
import torch
from safetensors.torch import load_file

from bioutils.encoders import load_classifier
from bioutils.errors import BioutilsError, DataError, UsageError
from bioutils.training import launch, trainer
from bioutils.training.arguments import TrainingSettings, read_config, settings_from

SETTINGS = TrainingSettings(
    epochs=3, learning_rate=0.01, batch_size=6, max_length=16, patience=0, precision="fp32", seed=1
)


@pytest.fixture(scope="module")
def trained(tiny_dataset, encoder_dir, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    options = {"encoder": str(encoder_dir), "settings": SETTINGS, "progress": False}
    return out, trainer.train_classifier(tiny_dataset, out=out, **options), options


def test_the_model_is_whole_and_learned(trained):
    out, result, _ = trained
    assert {p.name for p in out.iterdir()} == {"model", "train.jsonl"}  # no checkpoints, nothing temporary
    files = {p.name for p in result.model_dir.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "bioutils.json"} <= files
    notes = json.loads((result.model_dir / "bioutils.json").read_text())
    assert (notes["max_length"], notes["n_train"], notes["settings"]["epochs"]) == (16, 36, 3)
    assert load_classifier(str(result.model_dir)).config.id2label[2] == "molecular_function"
    assert result.history["train_loss"].iloc[-1] < result.history["train_loss"].iloc[0]


def test_the_best_epoch_is_kept(trained):
    _, result, _ = trained
    assert result.history["epoch"].tolist() == [1, 2, 3]
    best = result.history["validation_macro_f1"].idxmax()
    assert result.best_epoch == result.history["epoch"][best]


def test_every_log_line_is_json_and_steps_rise(trained):
    out, _, _ = trained
    steps = [json.loads(line)["step"] for line in (out / "train.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert steps[-1] == 18


def test_the_same_seed_gives_the_same_weights(trained, tiny_dataset, tmp_path):
    _, result, options = trained
    again = trainer.train_classifier(tiny_dataset, out=tmp_path, **options)
    first, second = (load_file(r.model_dir / "model.safetensors") for r in (result, again))
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = trainer.train_classifier(
        tiny_dataset, out=tmp_path / "b", **options | {"settings": TrainingSettings(**SETTINGS.__dict__ | {"seed": 2})}
    )
    third = load_file(other.model_dir / "model.safetensors")
    assert not all(torch.equal(first[name], third[name]) for name in first)


def test_resuming_ends_with_the_same_weights(trained, tiny_dataset, tmp_path, monkeypatch):
    from bioutils.training import callbacks

    _, result, options = trained

    def stop(self, args, state, control, **kwargs):
        if state.global_step == 6:  # the first epoch and its checkpoint are done
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.JsonLines, "on_save", stop, raising=False)
        with pytest.raises(KeyboardInterrupt):
            trainer.train_classifier(tiny_dataset, out=tmp_path, **options)
    assert (tmp_path / "checkpoints").is_dir()
    resumed = trainer.train_classifier(tiny_dataset, out=tmp_path, resume=True, **options)
    first, second = (load_file(r.model_dir / "model.safetensors") for r in (result, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert resumed.history["epoch"].tolist() == [1, 2, 3]
    steps = [json.loads(line)["step"] for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)


def test_a_checkpoint_of_another_label_set_is_refused(tiny_dataset, encoder_dir, tmp_path, monkeypatch):
    from datasets import ClassLabel

    from bioutils.training import callbacks

    def stop(self, args, state, control, **kwargs):
        raise KeyboardInterrupt

    call = {"encoder": str(encoder_dir), "settings": SETTINGS, "out": tmp_path, "progress": False}
    with monkeypatch.context() as patch:
        patch.setattr(callbacks.JsonLines, "on_save", stop, raising=False)
        with pytest.raises(KeyboardInterrupt):
            trainer.train_classifier(tiny_dataset, **call)
    other = tiny_dataset.cast_column("label", ClassLabel(names=["x", "y", "z"]))
    with pytest.raises(UsageError, match=r"labels \['biological_process'.*\['x', 'y', 'z'\]"):
        trainer.train_classifier(other, resume=True, **call)


def test_a_full_disk_while_training_is_one_message(tiny_dataset, encoder_dir, tmp_path, monkeypatch):
    from transformers import Trainer

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Trainer, "_save_checkpoint", full)
    with pytest.raises(BioutilsError, match="No space left.*resume"):
        trainer.train_classifier(
            tiny_dataset, encoder=str(encoder_dir), settings=SETTINGS, out=tmp_path, progress=False
        )
    assert not (tmp_path / "model").exists()


def test_max_length_beyond_the_encoder(tiny_dataset, encoder_dir, tmp_path):
    settings = TrainingSettings(max_length=100)
    with pytest.raises(UsageError, match="at most the 64"):
        trainer.train_classifier(tiny_dataset, encoder=str(encoder_dir), settings=settings, out=tmp_path)


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"epochs": 2.5}, {"epochs": True}, {"learning_rate": 2}, {"learning_rate": "1e-4"},
              {"warmup": 1.0}, {"precision": "fp8"}, {"seed": -1}, {"batch_size": "8"}],
)  # fmt: skip
def test_settings_out_of_range(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        TrainingSettings(**wrong)


def test_a_key_given_twice_is_refused(tmp_path):
    path = tmp_path / "config.yaml"
    for text, place in (
        ("a: 1\nb: {c: 1}\na: 2\n", "config.yaml:3: Expected each key once, found 'a' again, which line 1 has"),
        ("a:\n  - b: 1\n    c: 2\n    b: 3\n", "config.yaml:4: Expected each key once, found 'b' again, which line 2"),
        ('{"a": {"b": 1, "b": 1}}', "config.yaml:1: Expected each key once, found 'b' again"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=place):
            read_config(path)
    path.write_text(
        "one: &x {b: 1}\ntwo: {<<: *x, b: 2}\nthree: *x\nfour: &y [*y]\n"
    )  # what YAML means to be said twice
    assert read_config(path)["two"] == {"b": 2}


def test_config_files(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("epochs: 2\nencoder: minilm\n")
    settings, rest = settings_from(read_config(path))
    assert (settings.epochs, rest) == (2, {"encoder": "minilm"})
    path.write_text("a: 1\nb: [\n")
    with pytest.raises(DataError, match=r"c\.yaml:\d+: Not YAML"):
        read_config(path)
    path.write_text("- 1\n")
    with pytest.raises(DataError, match="mapping"):
        read_config(path)


def test_the_command_trains_and_compares(tiny_dataset, encoder_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(launch, "load", lambda *_, **__: tiny_dataset)
    path = tmp_path / "c.yaml"
    path.write_text(
        f"out: {tmp_path}/run\nencoder: {encoder_dir}\nepochs: 1\nmax_length: 16\nbatch_size: 6\nprecision: fp32\n"
    )
    assert launch.main(["--config", str(path)]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["baseline_accuracy"] == 1.0
    assert 0 <= metrics["accuracy_low"] <= metrics["accuracy"] <= metrics["accuracy_high"] <= 1
    assert "TF-IDF" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [("epoch: 3\nout: x\n", 2, "'epochs'"), ("epochs: 3\n", 2, "Expected out"), ("epochs: 0\nout: x\n", 2, "epochs"), ("[", 1, "Not YAML")],
)  # fmt: skip
def test_the_command_names_what_is_wrong(tmp_path, capsys, text, code, message):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    assert launch.main(["--config", str(path)]) == code
    assert message in capsys.readouterr().err
