from dataclasses import replace

import numpy as np
import pytest
import torch

from bioutils.training.electra.objective import Electra
from bioutils.training.electra.pretrain import Masker, pretrain
from bioutils.training.electra.settings import sized
from bioutils.training.electra.start import NORM, position_vectors, set_start, word_vectors


def test_pieces_with_like_neighbours_have_like_vectors(examples):
    vectors = word_vectors(examples, 16)
    tokenizer = examples.tokenizer()
    assert vectors.shape == (len(tokenizer), 16)
    lengths = np.linalg.norm(vectors, axis=1)
    seen = np.unique(examples.rows("train", np.arange(examples.facts["train_rows"])))
    assert lengths[seen] == pytest.approx(NORM, rel=1e-4)
    never = np.setdiff1d(np.arange(len(tokenizer)), seen)
    assert lengths[never] == pytest.approx(0)
    assert np.array_equal(vectors, word_vectors(examples, 16))


def test_the_step_from_a_place_to_the_next_is_the_same_everywhere():
    places = position_vectors(100, 32)
    products = places @ places.T
    for distance in (1, 5, 20):
        along = np.diagonal(products, distance)
        assert along == pytest.approx(along.mean(), rel=1e-4)
    near = [np.diagonal(products, d).mean() for d in range(4)]
    assert near == sorted(near, reverse=True)


@pytest.mark.parametrize("sharing", ["all", "disentangled", "none"])
def test_both_networks_begin_there(examples, tiny, sharing):
    electra = Electra(replace(tiny, start="counts", sharing=sharing), examples.tokenizer())
    set_start(electra, examples)
    expected = torch.from_numpy(word_vectors(examples, tiny.embedding_size, seed=tiny.seed))
    tables = [network.electra.embeddings for network in (electra.generator, electra.discriminator)]
    assert torch.equal(tables[0].word_embeddings.weight, expected)
    added = tables[1].word_embeddings.weight
    assert torch.equal(added, torch.zeros_like(added) if sharing == "disentangled" else expected)
    assert torch.equal(electra.encoder().electra.embeddings.word_embeddings.weight, expected)
    assert torch.equal(tables[0].position_embeddings.weight, tables[1].position_embeddings.weight)


def test_rows_are_read_in_pieces_at_first(examples, tiny):
    settings = sized("tiny", steps=100, warm_start=0.4, warm_pieces=8)
    assert [settings.piece(step) for step in (0, 19, 20, 39, 40, 99)] == [8, 8, 32, 32, 0, 0]
    assert sized("tiny", steps=100).piece(0) == 0
    masker = Masker(examples, replace(tiny, mask_share=0.25))
    whole, cut = (masker("train", np.arange(3), (0,), piece=piece) for piece in (0, 12))
    assert whole.original.shape == (3, 32)
    assert cut.original.shape == (6, 12)  # a rest of eight tokens is left out
    assert np.array_equal(cut.original.reshape(3, 24), whole.original[:, :24])
    usable = ~np.isin(cut.original, masker.special)
    assert (cut.chosen.sum(1) == np.rint(0.25 * usable.sum(1))).all()


def test_counts_spare_the_first_steps(examples, tiny, tmp_path):
    plain = replace(tiny, steps=30, learning_rate=5e-3, dropout=0.0, embedding_size=16, batch_size=16)
    known = replace(plain, start="counts", warm_start=0.5, warm_pieces=8)
    losses = [
        pretrain(examples, tmp_path / str(i), settings=s, evaluate_every=30, progress=False)
        .history["generator_loss"]
        .iloc[-1]
        for i, s in enumerate((plain, known))
    ]
    assert losses[1] < losses[0]
