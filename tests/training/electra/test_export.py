import shutil
from pathlib import Path

import pytest
import torch

from bioutils.corpora import project_data
from bioutils.encoders import load_encoder, load_tokenizer
from bioutils.errors import DataError, UsageError
from bioutils.files import read_json, write_json
from bioutils.training.electra.commands import main
from bioutils.training.electra.export import export, write_card
from bioutils.training.electra.pretrain import pretrain
from bioutils.training.electra.walkthrough import load_networks, one_sentence

SCORES = """corpus,metric,encoder,trials,mean,lowest,highest
ncbi-disease,span micro-F1,ours,3,0.61,0.6,0.62
ncbi-disease,span micro-F1,baseline,1,0.77,0.77,0.77
gad,micro-F1 of the relations,ours,1,0.7,0.7,0.7
"""


@pytest.fixture(scope="module")
def run(examples, tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    pretrain(examples, folder, settings=tiny, progress=False)
    return folder


def test_an_encoder_in_half_precision_computes_as_the_run_did(run, tmp_path):
    out = export(run, tmp_path / "encoder", generator=True)
    inputs = load_tokenizer(str(out))("p53 binds Akt in the nucleus.", return_tensors="pt")
    with torch.no_grad():
        ours, theirs = (load_encoder(str(f))(**inputs).last_hidden_state for f in (out, run / "model"))
    assert ours.dtype == torch.float32
    assert torch.allclose(ours, theirs, atol=0.02)
    assert (out / "model.safetensors").stat().st_size < 0.6 * (run / "model" / "model.safetensors").stat().st_size
    assert load_encoder(str(out)).config.hidden_dropout_prob == 0.1


def test_its_generator_comes_along_for_lessons(run, tmp_path):
    out = export(run, tmp_path / "encoder", generator=True)
    tokenizer, text = load_tokenizer(str(out)), "p53 binds Akt in the nucleus."
    ours, theirs = (one_sentence(*load_networks(f), tokenizer, text, mask_share=0.3, seed=1) for f in (out, run))
    assert ours["chosen"].equals(theirs["chosen"])
    assert (ours["probability"] - theirs["probability"]).abs().max() < 0.01
    assert not (export(run, tmp_path / "alone") / "generator").exists()


def test_the_card_says_what_was_read_for_how_long_and_what_it_gives(run, tmp_path):
    (tmp_path / "scores.csv").write_text(SCORES)
    call = ["export", str(run), "--out", str(tmp_path / "e"), "--text", "all <samples>", "--licence", "MIT"]
    assert main([*call, "--scores", str(tmp_path / "scores.csv")]) == 0
    card = (tmp_path / "e" / "README.md").read_text()
    assert card.startswith("# e\n")
    assert "all <samples>" in card
    assert "**Licence**: MIT" in card
    assert "| ncbi-disease, span micro-F1 | 0.610 (0.600 to 0.620) | 0.770 |" in card
    assert "| gad, micro-F1 of the relations | 0.700 | – |" in card


def test_the_shipped_card_is_what_its_notes_say(tmp_path):
    shipped = project_data() / "models" / "electra-tiny"
    shutil.copytree(shipped, tmp_path / "electra-tiny")
    write_card(tmp_path / "electra-tiny", read_json(shipped / "bioutils.json"), name="electra-tiny")
    assert (tmp_path / "electra-tiny" / "README.md").read_text() == (shipped / "README.md").read_text()


def test_runs_of_before_the_choice_of_an_objective(run, tmp_path, examples, tiny):
    shutil.copytree(run, tmp_path / "run")
    notes = read_json(tmp_path / "run" / "model" / "bioutils.json")
    del notes["settings"]["objective"]
    write_json(tmp_path / "run" / "model" / "bioutils.json", notes)
    assert "as ELECTRA" in (export(tmp_path / "run", tmp_path / "e") / "README.md").read_text()
    assert pretrain(examples, tmp_path / "run", settings=tiny, resume=True, progress=False).found


def test_a_card_without_an_auc_says_so(run, tmp_path):
    scores = {"generator_accuracy": 0.5, "detection_auc": None, "base_rate": 0.0}
    card = (export(run, tmp_path / "e", notes={"scores": scores}) / "README.md").read_text()
    assert "with an AUC of none (one class alone)" in card


def test_what_cannot_be_exported(run, tmp_path, capsys):
    with pytest.raises(UsageError, match="no finished pre-training"):
        export(tmp_path, tmp_path / "e")
    (tmp_path / "scores.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"scores\.csv:1: Expected columns"):
        export(run, tmp_path / "e", scores=tmp_path / "scores.csv")
    assert not (tmp_path / "e").exists()
    export(run, tmp_path / "e")
    assert main(["export", str(run), "--out", str(tmp_path / "e")]) == 2
    assert "overwrite" in capsys.readouterr().err
    assert main(["export", str(run), "--out", str(tmp_path / "e"), "--overwrite"]) == 0


@pytest.mark.parametrize("name", ["model", "generator", "."])
def test_the_weights_of_the_run_are_not_replaced(run, tmp_path, name):
    whole = Path(shutil.copytree(run, tmp_path / "run"))
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="is an input: the results would replace it"):
        export(whole, whole / name, overwrite=True)
    assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("", "The file is empty"),
        ("\n", "Not a table"),
        ("corpus,metric,encoder,trials,mean,lowest,highest\n", "A table without rows"),
        (SCORES.replace("0.61", "high"), "Expected column mean to be numbers"),
    ],
)
def test_scores_that_are_none(run, tmp_path, capsys, content, message):
    if content is not None:
        (tmp_path / "scores.csv").write_text(content)
    assert main(["export", str(run), "--out", str(tmp_path / "e"), "--scores", str(tmp_path / "scores.csv")]) == 1
    told = capsys.readouterr().err
    assert f"scores.csv: {message}" in told
    assert len(told.splitlines()) == 1
    assert not (tmp_path / "e").exists()


def test_notes_of_another_kind_of_model(run, tmp_path):
    whole = Path(shutil.copytree(run, tmp_path / "run"))
    write_json(whole / "model" / "bioutils.json", {"settings": {}, "max_length": 128})
    with pytest.raises(DataError, match=r"bioutils\.json: Not the notes of a pre-training: no examples, tokens"):
        export(whole, tmp_path / "e")
