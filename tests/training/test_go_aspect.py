from dataclasses import replace

from bioutils.files import read_json
from bioutils.models import load_model
from bioutils.training import go_aspect


def test_the_shipped_model_is_made_with_its_card(tiny_dataset, encoder_dir, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(go_aspect, "load", lambda *a, **k: calls.append((a, k)) or tiny_dataset)
    settings = replace(go_aspect.SETTINGS, epochs=12, batch_size=6, learning_rate=0.02, max_length=16, patience=0)
    out = tmp_path / "models" / "go-aspect"
    notes = go_aspect.make(out, work=tmp_path / "work", encoder=str(encoder_dir), settings=settings)
    assert calls == [(("go",), {"data_root": None, "sample": False, "split": "grouped", "seed": 42})]
    assert notes == read_json(out / "bioutils.json")
    assert notes["split"] == {"kind": "grouped", "seed": 42, "train": 36, "validation": 12, "test": 12}
    assert notes["scores"]["model"]["n"] == 12
    card = (out / "README.md").read_text("utf-8")
    assert f"| this model | {notes['scores']['model']['accuracy']:.4f} (" in card
    assert "python -m bioutils.training.go_aspect" in card
    better = notes["scores"]["model"]["macro_f1"] > notes["scores"]["baseline"]["macro_f1"]
    assert ("is better than" if better else "is NOT better than") in card
    assert load_model(out).labels == tiny_dataset["train"].features["label"].names
    # The same call again replaces the folder.
    (out / "stale").write_text("x")
    go_aspect.make(out, work=tmp_path / "work", encoder=str(encoder_dir), settings=settings)
    assert not (out / "stale").exists()


def test_a_wrong_call_is_one_message(tmp_path, capsys):
    code = go_aspect.main(["--out", str(tmp_path / "x"), "--data-root", str(tmp_path)])
    assert code == 1
    assert "bioutils data fetch go" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
