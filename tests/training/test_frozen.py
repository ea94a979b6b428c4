from dataclasses import replace

import numpy as np
import pytest
import torch

from bioutils.cache import FeatureSpec
from bioutils.errors import DataError, UsageError
from bioutils.evaluation.calibration import softmax
from bioutils.heads.classification import HEADS
from bioutils.inference import predict_logits
from bioutils.models import load_model
from bioutils.training import frozen

SETTINGS = frozen.frozen_settings(epochs=25, batch_size=6, learning_rate=0.01, precision="fp32", patience=0, seed=1)
NAMES = ["biological_process", "cellular_component", "molecular_function"]


def data(tiny_dataset, encoder_dir, folder, pooling):
    spec = FeatureSpec(pooling=pooling, max_length=16)
    found = frozen.features_of(tiny_dataset, encoder=str(encoder_dir), spec=spec, folder=folder, progress=False)
    return found, {part: np.array(rows["label"][:]) for part, rows in tiny_dataset.items()}, spec


def fit(found, labels, head, settings=SETTINGS, **more):
    return frozen.train_head(
        found["train"], labels["train"], found["validation"], labels["validation"], head=head, n_labels=3,
        settings=settings, **more,
    )  # fmt: skip


@pytest.mark.parametrize("head", [name for name, kind in HEADS.items() if not getattr(kind, "places", False)])
def test_heads_learn_and_their_folder_gives_the_same_predictions(head, tiny_dataset, encoder_dir, tmp_path):
    found, labels, spec = data(tiny_dataset, encoder_dir, tmp_path, "mean" if HEADS[head].pooled else "tokens")
    result = fit(found, labels, head)
    logits = frozen.head_logits(result.head, found["test"])
    assert (logits.argmax(1) == labels["test"]).mean() > 0.7  # the encoder is untrained; a third is chance
    assert result.history["validation_macro_f1"].max() == result.history["validation_macro_f1"][result.best_epoch - 1]
    folder = frozen.save_frozen(
        result, tmp_path / "model", encoder=str(encoder_dir), spec=spec, labels=NAMES, settings=SETTINGS, note="x"
    )
    model, tokenizer, names, notes = load_model(folder)
    assert names == NAMES
    assert notes["note"] == "x"
    texts = tiny_dataset["test"]["text"][:]
    again = predict_logits(model, tokenizer, texts, max_length=16, bf16=False).logits
    assert abs(softmax(again) - softmax(logits)).max() < 0.02  # the cache is in float16, this is not
    alone = predict_logits(model, tokenizer, texts[3:4], max_length=16, bf16=False, batch_tokens=1).logits
    assert abs(alone[0] - again[3]).max() < 1e-4  # batches and padding change nothing


def test_the_same_seed_gives_the_same_head_and_the_best_epoch_is_kept(tiny_dataset, encoder_dir, tmp_path):
    found, labels, _ = data(tiny_dataset, encoder_dir, tmp_path, "tokens")
    short = replace(SETTINGS, epochs=3)
    first, second = (fit(found, labels, "RNN", short) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.head.parameters(), second.head.parameters(), strict=True))
    other = fit(found, labels, "RNN", replace(short, seed=2))
    assert not torch.equal(first.head.output[1].weight, other.head.output[1].weight)
    logits = frozen.head_logits(first.head, found["validation"])
    from bioutils.training.results import epoch_scores

    best = epoch_scores(logits, labels["validation"])["macro_f1"]
    assert best == pytest.approx(first.history["validation_macro_f1"].max())


def test_a_part_of_the_rows(tiny_dataset, encoder_dir, tmp_path):
    found, labels, _ = data(tiny_dataset, encoder_dir, tmp_path, "mean")
    rows, short = np.arange(0, 36, 2), replace(SETTINGS, epochs=3)
    result = fit(found, labels, "logistic", short, rows=rows)
    half = tiny_dataset.copy()
    half["train"] = tiny_dataset["train"].select(rows)
    same = fit(*data(half, encoder_dir, tmp_path, "mean")[:2], "logistic", short)
    assert all(torch.equal(a, b) for a, b in zip(result.head.parameters(), same.head.parameters(), strict=True))
    whole = fit(found, labels, "logistic", short)
    assert not torch.equal(result.head.output.weight, whole.head.output.weight)
    some = frozen.head_logits(result.head, found["test"], rows=[5, 2])
    assert np.allclose(some, frozen.head_logits(result.head, found["test"])[[5, 2]], atol=1e-5)


def test_patience(tiny_dataset, encoder_dir, tmp_path):
    found, labels, _ = data(tiny_dataset, encoder_dir, tmp_path, "mean")
    result = fit(found, labels, "logistic", replace(SETTINGS, learning_rate=1e-12, patience=3))
    assert len(result.history) == 4


def test_what_does_not_fit(tiny_dataset, encoder_dir, tmp_path):
    found, labels, _ = data(tiny_dataset, encoder_dir, tmp_path, "mean")
    with pytest.raises(UsageError, match=r"one on pooled vectors, found 'RNN.*\['logistic', 'MLP', 'linear'\]"):
        fit(found, labels, "RNN")
    with pytest.raises(UsageError, match="known one"):
        fit(found, labels, "SVM")
    tokens, labels, _ = data(tiny_dataset, encoder_dir, tmp_path, "tokens")
    with pytest.raises(UsageError, match="The head 'CNN_seg' must be told where the entities are"):
        fit(tokens, labels, "CNN_seg")
    with pytest.raises(UsageError, match="36 labels"):
        fit(found, labels | {"train": labels["train"][:5]}, "logistic")


def test_a_head_on_another_encoder_is_refused(tiny_dataset, encoder_dir, model_dir, tmp_path):
    import json

    found, labels, spec = data(tiny_dataset, encoder_dir, tmp_path, "mean")
    folder = frozen.save_frozen(
        fit(found, labels, "logistic", replace(SETTINGS, epochs=1)), tmp_path / "model", encoder=str(encoder_dir),
        spec=spec, labels=NAMES, settings=SETTINGS,
    )  # fmt: skip
    notes = json.loads((folder / "bioutils.json").read_text())
    (folder / "bioutils.json").write_text(json.dumps(notes | {"encoder": "minilm"}))
    with pytest.raises(DataError, match="weights of minilm.*another encoder"):
        load_model(folder)
    (folder / "bioutils.json").write_text(json.dumps(notes | {"head": "MLP"}))
    with pytest.raises(DataError, match="head's weights"):
        load_model(folder)
    (folder / "bioutils.json").write_text("{}")
    with pytest.raises(DataError, match="notes lack"):
        load_model(folder)
