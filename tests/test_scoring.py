import json

import numpy as np
import pandas as pd
import pytest

from bioutils import scoring
from bioutils.corpora.pubmed import Abstract
from bioutils.errors import BioutilsError, UsageError

NAMES = ["biological_process", "cellular_component", "molecular_function"]


@pytest.fixture
def records(tmp_path):
    rows = [
        {"id": "1", "title": "=1+1", "abstract": "Cells grow. The membrane binds it."},
        {"id": "2", "title": "Empty", "abstract": ""},
        {"id": "3", "title": "One", "abstract": "It was a cell of the membrane."},
        {"id": "1", "title": "Again", "abstract": "Cells."},
    ]
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_rows_sum_to_one_and_batches_do_not_matter(model_dir):
    scorer = scoring.load_scorer(model_dir)
    texts = ["cells grow", "the membrane binds a b c of the cells", "it", "a b c"]
    together = scorer.score(texts, batch_tokens=4096)
    assert np.allclose(together.sum(1), 1)
    assert np.allclose(together, scorer.score(texts, batch_tokens=1), atol=0.005)
    assert np.allclose(together[::-1], scorer.score(texts[::-1]), atol=0.005)
    assert np.ptp(together[:, 0]) > 0.02  # else the comparison above could not fail


def test_temperature_and_length_come_with_the_model(model_dir):
    scorer = scoring.load_scorer(model_dir)
    assert (scorer.temperature, scorer.max_length, scorer.names) == (2.0, 32, NAMES)
    raw = np.exp(scorer.logits(["cells grow"]) / 2)
    assert np.allclose(scorer.score(["cells grow"]), raw / raw.sum(), atol=1e-6)


def test_means_by_hand():
    sentences = pd.DataFrame({
        "id": ["1", "1", "3"], "sentence_number": [1, 2, 1], "sentence": ["one", "one two three", "x"],
        NAMES[0]: [1.0, 0.0, 0.2], NAMES[1]: [0.0, 1.0, 0.3], NAMES[2]: [0.0, 0.0, 0.5],
    })  # fmt: skip
    abstracts = [Abstract("1", "A", "one. one two three"), Abstract("2", "B", ""), Abstract("3", "C", "x")]
    table = scoring.score_abstracts(abstracts, sentences, NAMES)
    assert table[NAMES].values.tolist()[0] == [0.5, 0.5, 0.0]
    assert table["n_sentences"].tolist() == [2, 0, 1]
    assert table["aspect"].isna().tolist() == [False, True, False]
    assert table["aspect"][2] == NAMES[2]
    by_words = scoring.score_abstracts(abstracts, sentences, NAMES, weight="words")
    assert by_words[NAMES].values.tolist()[0] == [0.25, 0.75, 0.0]


def test_intervals_and_entropy_by_hand():
    table = pd.DataFrame(
        {"id": ["1", "1", "2"], NAMES[0]: [1, 1, 1 / 3], NAMES[1]: [0, 0, 1 / 3], NAMES[2]: [0, 0, 1 / 3]}
    )
    sure, even = scoring.profile_intervals(table, NAMES).to_dict("records")
    assert (sure["entropy"], sure["biological_process_low"], sure["biological_process_high"]) == (0, 1, 1)
    assert even["entropy"] == pytest.approx(1)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl", ".xlsx"])
def test_files_hold_the_promised_columns(model_dir, records, tmp_path, suffix):
    out = tmp_path / f"scores{suffix}"
    summary = scoring.score_files([records], out, model=model_dir, progress=False)
    assert (summary.n_abstracts, summary.n_sentences, summary.n_without_text, summary.n_repeated_ids) == (4, 4, 1, 1)
    read = {".parquet": pd.read_parquet, ".csv": pd.read_csv, ".xlsx": pd.read_excel}.get(
        suffix, lambda path: pd.read_json(path, lines=True)
    )
    abstracts, sentences = read(out), read(tmp_path / f"scores.sentences{suffix}")
    assert list(abstracts) == ["id", "title", "n_sentences", *NAMES, "aspect"]
    assert list(sentences) == ["id", "sentence_number", "start", "end", "sentence", *NAMES, "aspect"]
    assert abstracts["title"][0] == "=1+1"  # text, not a formula
    assert np.allclose(sentences[NAMES].sum(axis=1), 1)
    assert np.allclose(abstracts[NAMES].dropna().sum(axis=1), 1)
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", out.name, f"scores.sentences{suffix}"}


def test_results_are_not_replaced_unasked(model_dir, records, tmp_path):
    out = tmp_path / "scores.csv"
    scoring.score_files([records], out, model=model_dir, progress=False)
    with pytest.raises(UsageError, match="--overwrite"):
        scoring.score_files([records], out, model=model_dir, progress=False)
    scoring.score_files([records], out, model=model_dir, progress=False, overwrite=True)
    with pytest.raises(UsageError, match="is an input"):
        scoring.score_files([out], out, model=model_dir, overwrite=True)
    with pytest.raises(UsageError, match="known format"):
        scoring.score_files([records], tmp_path / "scores.xls", model=model_dir)
    with pytest.raises(UsageError, match="contradict"):
        scoring.score_files([records], out, model=model_dir, overwrite=True, resume=True)


def test_an_interrupted_job_goes_on_and_scores_nothing_twice(model_dir, records, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "CHUNK", 1)
    whole = tmp_path / "whole.parquet"
    scoring.score_files([records], whole, model=model_dir, progress=False)
    out, scored = tmp_path / "scores.parquet", []
    real = scoring.score_sentences

    def breaks(chunk, scorer, **options):
        if len(scored) == 2:
            raise KeyboardInterrupt
        scored.append(chunk[0].title)
        return real(chunk, scorer, **options)

    monkeypatch.setattr(scoring, "score_sentences", breaks)
    with pytest.raises(KeyboardInterrupt):
        scoring.score_files([records], out, model=model_dir, progress=False)
    assert not out.exists()
    with pytest.raises(UsageError, match="--resume"):
        scoring.score_files([records], out, model=model_dir, progress=False)
    again = []
    monkeypatch.setattr(scoring, "score_sentences", lambda c, s, **o: (again.append(c[0].title), real(c, s, **o))[1])
    scoring.score_files([records], out, model=model_dir, progress=False, resume=True)
    assert (scored, again) == (["=1+1", "Empty"], ["One", "Again"])
    assert pd.read_parquet(out).equals(pd.read_parquet(whole))


def test_resume_refuses_another_model(model_dir, records, tmp_path, monkeypatch):
    def stops(number, *tables):
        raise KeyboardInterrupt

    monkeypatch.setattr(scoring, "CHUNK", 1)
    out = tmp_path / "scores.parquet"
    with monkeypatch.context() as patch:
        patch.setattr(scoring.Parts, "finish", lambda *_: stops(0))
        with pytest.raises(KeyboardInterrupt):
            scoring.score_files([records], out, model=model_dir, progress=False)
    with pytest.raises(UsageError, match="had other columns"):
        scoring.score_files([records], out, model=model_dir, columns={"id": "x"}, progress=False, resume=True)


def test_a_broken_input_leaves_nothing(model_dir, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text("{oops\n")
    with pytest.raises(BioutilsError, match=r"in\.jsonl:1"):
        scoring.score_files([path], tmp_path / "scores.csv", model=model_dir, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]


def test_models_that_are_none(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"head.safetensors.*bioutils run 03"):
        scoring.find_model(tmp_path)
    monkeypatch.setattr(scoring, "own_models", lambda: tmp_path)
    with pytest.raises(UsageError, match="go_aspect.*--model"):
        scoring.find_model()
    with pytest.raises(UsageError, match="one of"):
        scoring.load_scorer(tmp_path / "nowhere")


def test_a_workbook_is_made_to_be_read(tmp_path):
    from openpyxl import load_workbook

    from bioutils.scoring_output import write_table

    table = pd.DataFrame({"id": ["1", "2"], "title": ["=1+1", "b" * 300], "n_sentences": [3, 0]})
    table["biological_process"], table["aspect"] = [0.25, float("nan")], ["biological_process", None]
    write_table(table, tmp_path / "t.xlsx")
    sheet = load_workbook(tmp_path / "t.xlsx")["scores"]
    assert [cell.value for cell in sheet[1]] == ["id", "title", "n_sentences", "biological_process", "aspect"]
    assert sheet["A1"].font.bold
    assert (sheet["B2"].value, sheet["B2"].data_type) == ("=1+1", "s")
    assert sheet["D2"].number_format == "0.0%"
    assert sheet["B3"].alignment.wrap_text or sheet.column_dimensions["B"].width == pytest.approx(80, abs=1)
    assert sheet.freeze_panes == "B2"
    assert sheet.auto_filter.ref == "A1:E3"
    ranges = {str(r.sqref): [rule.type for rule in r.rules] for r in sheet.conditional_formatting}
    assert ranges == {"D2:D3": ["dataBar"], "E2:E3": ["cellIs"] * 3}


@pytest.fixture(scope="module")
def every_kind(model_dir, encoder_dir, tiny_dataset, tmp_path_factory):
    """A folder of each kind of model: whole, head on a frozen encoder, adapter."""
    from bioutils.cache import FeatureSpec
    from bioutils.training.arguments import TrainingSettings
    from bioutils.training.frozen import features_of, save_frozen, train_head
    from bioutils.training.loop import train_natively

    base = tmp_path_factory.mktemp("kinds")
    names = tiny_dataset["train"].features["label"].names
    settings, spec = TrainingSettings(epochs=10, batch_size=6, max_length=16), FeatureSpec(max_length=16)
    call = {"encoder": str(encoder_dir), "settings": settings}
    adapted = train_natively(tiny_dataset, out=base / "lora", lora_rank=2, progress=False, **call)
    found = features_of(tiny_dataset, encoder=str(encoder_dir), spec=spec, folder=base / "cache", progress=False)
    labels = {part: rows["label"][:] for part, rows in tiny_dataset.items()}
    head = train_head(
        found["train"], labels["train"], found["validation"], labels["validation"], head="CNN_RNN", n_labels=3,
        settings=settings,
    )  # fmt: skip
    return {
        "whole": model_dir,
        "adapter": adapted.model_dir,
        "head": save_frozen(head, base / "head", spec=spec, labels=names, **call),
    }


@pytest.mark.parametrize("kind", ["whole", "adapter", "head"])
def test_batch_size_order_and_padding_change_no_score(every_kind, kind):
    scorer = scoring.load_scorer(every_kind[kind])
    texts = ["growth of cells", "", "binding of zinc number number", "membrane " + "number " * 40, "the a b c"] * 3
    together = scorer.score(texts)
    assert np.allclose(together.sum(1), 1)
    small = scorer.score(texts, batch_tokens=1)  # a text a batch
    turned = scorer.score(texts[::-1])[::-1]
    assert abs(together - small).max() < 0.01  # bfloat16, where it is in use
    assert abs(together - turned).max() < 0.01
    assert abs(together[0] - together[1]).max() > 0.02  # texts do differ


def test_the_model_that_comes_with_the_project():
    scorer = scoring.load_scorer()
    assert scorer.names == ["biological_process", "cellular_component", "molecular_function"]
    found = scorer.score(
        [
            "The chemical reactions and pathways resulting in the breakdown of a sugar.",
            "A protein complex in the membrane that is composed of two subunits.",
            "Catalysis of the transfer of a phosphate group to a serine of a protein.",
        ]
    )
    assert found.argmax(1).tolist() == [0, 1, 2]
    assert found.max(1).min() > 0.8


def test_its_card_holds_what_its_notes_say():
    from bioutils.files import read_json
    from bioutils.training.go_aspect import card

    folder = scoring.find_model()
    notes = read_json(folder / "bioutils.json")
    assert (folder / "README.md").read_text("utf-8") == card(notes)
    assert sum(file.stat().st_size for file in folder.iterdir()) < 3_000_000
    assert notes["scores"]["model"]["macro_f1"] > notes["scores"]["baseline"]["macro_f1"]
    assert "/" not in notes["encoder"]
