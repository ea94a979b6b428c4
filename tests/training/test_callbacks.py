import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bioutils.embeddings import text_vectors
from bioutils.encoders import load_classifier, load_tokenizer
from bioutils.features import cut_ids
from bioutils.training.arguments import TrainingSettings
from bioutils.training.callbacks import RecordEmbeddings
from bioutils.training.loop import train_natively
from bioutils.training.trainer import train_classifier

SETTINGS = TrainingSettings(
    epochs=2, batch_size=6, learning_rate=0.01, max_length=16, precision="fp32", patience=0, seed=1
)


@pytest.mark.parametrize("train", [train_classifier, train_natively])
def test_recording_changes_nothing_and_sees_every_epoch(train, tiny_dataset, encoder_dir, tmp_path):
    texts = tiny_dataset["test"]["text"][:]
    call = {"encoder": str(encoder_dir), "settings": SETTINGS, "progress": False}
    recorder = RecordEmbeddings(texts, max_length=16, pooling="mean")
    with_it = train(tiny_dataset, out=tmp_path / "with", callbacks=[recorder], **call)
    without = train(tiny_dataset, out=tmp_path / "without", **call)
    first, second = (load_file(r.model_dir / "model.safetensors") for r in (with_it, without))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert recorder.vectors.shape == (3, 12, 16)
    assert recorder.predictions.shape == (3, 12)
    assert 0 < recorder.seconds < with_it.seconds
    assert not np.allclose(recorder.vectors[0], recorder.vectors[1])
    # Before training: the classifier as it is made from this seed.
    names = tiny_dataset["train"].features["label"].names
    model, tokenizer = load_classifier(str(encoder_dir), labels=names, seed=1), load_tokenizer(str(encoder_dir))
    start, logits = text_vectors(model, tokenizer, cut_ids(tokenizer, texts, max_length=16)[0], pooling="mean")
    assert np.allclose(recorder.vectors[0], start, atol=1e-5)
    assert recorder.predictions[0].tolist() == logits.argmax(1).tolist()


def test_a_second_training_begins_a_new_record(tiny_dataset, encoder_dir, tmp_path):
    recorder = RecordEmbeddings(["growth of cells"] * 2, max_length=16)
    for turn in range(2):
        train_natively(
            tiny_dataset, encoder=str(encoder_dir), settings=SETTINGS, out=tmp_path / str(turn), progress=False,
            callbacks=[recorder],
        )  # fmt: skip
    assert len(recorder.vectors) == 3
