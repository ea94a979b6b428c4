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
    with pytest.raises(UsageError, match="saved model"):
        scoring.find_model(tmp_path)
    monkeypatch.setattr(scoring, "project_root", lambda: tmp_path)
    with pytest.raises(UsageError, match="bioutils run 03"):
        scoring.find_model()
    with pytest.raises(UsageError, match="without a trained classifier"):
        scoring.load_classifier("minilm")
