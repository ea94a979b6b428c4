import json
from dataclasses import replace

import pytest

from bioutils.errors import BioutilsError, UsageError
from bioutils.files import read_json
from bioutils.training.electra import pretrain as module
from bioutils.training.electra.commands import main
from bioutils.training.electra.pretrain import pretrain
from bioutils.training.electra.run_folder import MARK


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def short(tiny):
    return replace(tiny, steps=2)


def interrupted(examples, out, settings, monkeypatch, *, after, **options):
    """A run that stops as by Ctrl-C after so many steps."""
    original, calls = module.training_step, []

    def breaks(*args, **more):
        calls.append(1)
        if len(calls) > after:
            raise KeyboardInterrupt
        return original(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(module, "training_step", breaks)
        with pytest.raises(KeyboardInterrupt):
            pretrain(examples, out, settings=settings, progress=False, **options)


@pytest.mark.parametrize("choice", [{}, {"overwrite": True}, {"resume": True}])
def test_what_it_did_not_make_is_not_touched(examples, short, tmp_path, choice):
    for name in ("checkpoints/a", "model/bioutils.json", "generator/b", "pretrain.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    before = content(tmp_path)
    with pytest.raises(UsageError, match="something else than a pre-training: nothing is written there"):
        pretrain(examples, tmp_path, settings=short, progress=False, **choice)
    assert content(tmp_path) == before


def test_a_finished_run_is_replaced_only_when_asked(examples, short, tmp_path):
    pretrain(examples, tmp_path, settings=short, progress=False)
    before = content(tmp_path)
    assert read_json(tmp_path / MARK)["settings"]["steps"] == 2
    with pytest.raises(UsageError, match="holds a run. Give --resume .* --overwrite"):
        pretrain(examples, tmp_path, settings=short, progress=False)
    assert content(tmp_path) == before
    pretrain(examples, tmp_path, settings=replace(short, seed=1), overwrite=True, progress=False)
    assert read_json(tmp_path / "model" / "bioutils.json")["settings"]["seed"] == 1
    assert content(tmp_path)["model/model.safetensors"] != before["model/model.safetensors"]


def test_a_run_that_is_replaced_is_there_until_the_new_one_is(examples, short, tmp_path, monkeypatch):
    pretrain(examples, tmp_path, settings=short, progress=False)
    before = content(tmp_path / "model")
    interrupted(examples, tmp_path, replace(short, seed=1), monkeypatch, after=1, overwrite=True, evaluate_every=1)
    assert content(tmp_path / "model") == before
    result = pretrain(examples, tmp_path, settings=replace(short, seed=1), resume=True, progress=False)
    assert not result.found
    assert read_json(tmp_path / "model" / "bioutils.json")["settings"]["seed"] == 1


def test_a_begun_run_asks_too(examples, short, tmp_path, monkeypatch):
    interrupted(examples, tmp_path, short, monkeypatch, after=0)
    with pytest.raises(UsageError, match="holds a run"):
        pretrain(examples, tmp_path, settings=short, progress=False)
    with pytest.raises(UsageError, match="no checkpoint under .*checkpoints to go on from. Start anew"):
        pretrain(examples, tmp_path, settings=short, resume=True, progress=False)
    with pytest.raises(UsageError, match="one of resume and overwrite"):
        pretrain(examples, tmp_path, settings=short, resume=True, overwrite=True, progress=False)


def test_resume_of_a_finished_run_returns_it(examples, short, tmp_path, monkeypatch):
    first = pretrain(examples, tmp_path, settings=short, evaluate_every=1, progress=False)
    before = content(tmp_path)
    monkeypatch.setattr(module, "training_step", None)  # is not called
    again = pretrain(examples, tmp_path, settings=short, resume=True, progress=False)
    assert (first.found, again.found) == (False, True)
    assert again.history.equals(first.history)
    assert (again.model_dir, again.tokens, again.seconds) == (first.model_dir, first.tokens, round(first.seconds, 1))
    assert content(tmp_path) == before
    with pytest.raises(
        UsageError, match=r"no checkpoint .* settings: seed 42 in the finished run, 1 in this run\. Call"
    ):
        pretrain(examples, tmp_path, settings=replace(short, seed=1), resume=True, progress=False)


def test_runs_of_before_the_mark_are_known(examples, short, tmp_path, monkeypatch):
    interrupted(examples, tmp_path, short, monkeypatch, after=1, evaluate_every=1)
    (tmp_path / MARK).unlink()
    assert not pretrain(examples, tmp_path, settings=short, resume=True, progress=False).found
    assert not (tmp_path / MARK).exists()
    assert pretrain(examples, tmp_path, settings=short, resume=True, progress=False).found
    pretrain(examples, tmp_path, settings=short, overwrite=True, progress=False)
    assert (tmp_path / MARK).is_file()


def test_resume_where_nothing_is(examples, short, tmp_path):
    with pytest.raises(UsageError, match="no checkpoint under"):
        pretrain(examples, tmp_path / "new", settings=short, resume=True, progress=False)
    assert not (tmp_path / "new").exists()


def test_the_command(examples, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    call = [
        "pretrain",
        str(examples.folder),
        "--steps",
        "1",
        "--layers",
        "1",
        "--hidden-size",
        "64",
        "--batch-size",
        "4",
    ]
    assert main([*call, "--out", str(tmp_path / "file")]) == 2
    assert "Expected --out to be a folder" in capsys.readouterr().err
    assert main([*call, "--out", str(tmp_path / "file" / "run")]) == 1
    assert "run/pretraining.json: could not be written (Not a directory)" in capsys.readouterr().err
    assert main([*call, "--out", str(tmp_path / "run")]) == 0
    assert main([*call, "--out", str(tmp_path / "run")]) == 2
    assert "--overwrite to replace it" in capsys.readouterr().err
    assert main([*call, "--out", str(tmp_path / "run"), "--resume"]) == 0
    out = capsys.readouterr().out
    assert "finished before with these settings: nothing was trained" in out
    assert "detection_accuracy" in out
    assert main([*call, "--out", str(tmp_path / "run"), "--overwrite"]) == 0
    assert json.loads((tmp_path / "run" / "pretrain.jsonl").read_text())["step"] == 1


@pytest.mark.parametrize("evaluate_every", [1, 2])
def test_a_full_disk_is_one_message_and_the_checkpoint_before_it_stays(
    examples, tiny, tmp_path, file_limit, monkeypatch, evaluate_every
):
    interrupted(examples, tmp_path, tiny, monkeypatch, after=evaluate_every, evaluate_every=evaluate_every)
    before = content(tmp_path)
    file_limit(10_000)
    with pytest.raises(BioutilsError, match=r"checkpoints/last: could not be written \(File too large\)"):
        pretrain(examples, tmp_path, settings=tiny, evaluate_every=1, resume=True, progress=False)
    assert content(tmp_path) == before


def test_an_export_to_a_full_disk(examples, short, tmp_path, file_limit, capsys):
    pretrain(examples, tmp_path / "run", settings=short, progress=False)
    file_limit(10_000)
    assert main(["export", str(tmp_path / "run"), "--out", str(tmp_path / "e")]) == 1
    assert "e: could not be written (File too large)" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
