import numpy as np
import pytest
import torch

from bioutils import embeddings
from bioutils.embeddings import (
    epoch_numbers,
    fit_map,
    linear_cka,
    map_trust,
    neighbours_right,
    text_vectors,
)
from bioutils.encoders import load_classifier, load_encoder, load_tokenizer
from bioutils.errors import UsageError
from bioutils.features import cut_ids

TEXTS = ["growth of cells", "binding of zinc number number number number", "", "membrane " + "number " * 40]


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_vectors_are_the_encoders_in_the_texts_order(encoder_dir, pooling, monkeypatch):
    monkeypatch.setattr(embeddings, "autocast", lambda: torch.autocast("cpu", enabled=False))
    model, tokenizer = load_encoder(str(encoder_dir)), load_tokenizer(str(encoder_dir))
    ids = cut_ids(tokenizer, TEXTS, max_length=16)[0]
    vectors, logits = text_vectors(model, tokenizer, ids, pooling=pooling)
    assert logits is None
    for tokens, vector in zip(ids, vectors, strict=True):
        with torch.no_grad():
            states = model(input_ids=torch.tensor([tokens])).last_hidden_state[0]
        wanted = states[0] if pooling == "cls" else states.mean(0)
        assert np.allclose(vector, wanted, atol=1e-5)  # alone and among others: padding changes nothing


def test_a_classifier_gives_its_logits_too_and_keeps_its_mode(model_dir):
    model, tokenizer = load_classifier(str(model_dir)).train(), load_tokenizer(str(model_dir))
    vectors, logits = text_vectors(model, tokenizer, cut_ids(tokenizer, TEXTS, max_length=16)[0])
    assert vectors.shape == (4, 16)
    assert logits.shape == (4, 3)
    assert model.training
    with pytest.raises(UsageError, match="one text"):
        text_vectors(model, tokenizer, [])


@pytest.fixture(scope="module")
def clouds():
    """Two classes that part over three epochs, in ten dimensions."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 20)
    start = rng.normal(0, 1, (40, 10))
    away = np.where(labels[:, None] == 1, 1.0, -1.0) * np.eye(10)[0]
    return np.stack([start + distance * away for distance in (0, 2, 8)]).astype(np.float32), labels


@pytest.mark.parametrize("method", embeddings.MAPS)
def test_maps_share_one_frame_and_keep_neighbours(clouds, method):
    vectors = clouds[0]
    points = fit_map(vectors, method, seed=1)
    assert points.shape == (3, 40, 2)
    assert np.isfinite(points).all()
    trust = map_trust(vectors, {method: points}, k=5)
    assert trust[method].iloc[-1] > 0.6
    assert trust.shape == (3, 1)


def test_one_fit_for_all_epochs(clouds):
    """PCA of all epochs: a text that did not move stays where it is."""
    vectors = np.stack([clouds[0][2]] * 2)
    first, second = fit_map(vectors, "pca")
    assert np.allclose(first, second, atol=1e-5)
    assert np.array_equal(fit_map(clouds[0], "tsne", seed=3), fit_map(clouds[0], "tsne", seed=3))


def test_what_cannot_be_mapped(clouds):
    vectors, _ = clouds
    with pytest.raises(UsageError, match="known map"):
        fit_map(vectors, "isomap")
    with pytest.raises(UsageError, match="10 points"):
        fit_map(vectors[:1, :5], "pca")
    with pytest.raises(UsageError, match="finite"):
        fit_map(np.where(vectors > 2, np.nan, vectors), "pca")
    with pytest.raises(UsageError, match="500 at most"):
        fit_map(np.zeros((2, 501, 3)), "aligned_umap")
    with pytest.raises(UsageError, match="two or more"):
        fit_map(vectors[:1], "aligned_umap")


def test_cka(clouds):
    vectors = clouds[0][0].astype(float)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(10, 10)))[0]
    assert linear_cka(vectors, 3 * vectors @ turn + 5) == pytest.approx(1)
    assert linear_cka(vectors, np.random.default_rng(2).normal(size=(40, 10))) < 0.5
    # By hand: centred a = (-1, 1), b = (1, -1): the same but for a sign.
    assert linear_cka(np.array([[0.0], [2]]), np.array([[1.0], [-1]])) == pytest.approx(1)
    assert linear_cka(np.ones((3, 2)), np.ones((3, 2))) == 0


def test_neighbours_by_hand():
    vectors = np.array([[1, 0], [1, 0.1], [1, -0.1], [0, 1], [0.1, 1], [1, 0.05]])
    right = neighbours_right(vectors, [0, 0, 0, 1, 1, 1], k=1)
    assert right.tolist()[3:] == [True, True, False]  # the last lies among the others


def test_numbers_rise_as_the_classes_part(clouds):
    table = epoch_numbers(*clouds, k=5)
    assert table["epoch"].tolist() == [0, 1, 2]
    assert table["silhouette"].is_monotonic_increasing
    assert table["knn_accuracy"].iloc[-1] == 1
    assert table["cka_to_start"].iloc[0] == pytest.approx(1)
    assert table["cka_to_start"].is_monotonic_decreasing
