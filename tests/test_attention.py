import numpy as np
import pytest

from bioutils import attention
from bioutils.attention import Attention, attends_to, attention_of, head_entropy, rollout
from bioutils.encoders import load_classifier, load_encoder, load_tokenizer
from bioutils.errors import UsageError

TEXT = "growth of cells and zinc"


@pytest.fixture(scope="module")
def tokenizer(encoder_dir):
    return load_tokenizer(str(encoder_dir))


@pytest.fixture(scope="module")
def found(encoder_dir, tokenizer):
    return attention_of(load_encoder(str(encoder_dir), attention=True), tokenizer, TEXT)


def test_weights_are_shares(found):
    assert found.tokens == ["[CLS]", "growth", "of", "cells", "[UNK]", "[UNK]", "[SEP]"] or len(found.tokens) == 7
    assert found.weights.shape == (1, 2, 7, 7)
    assert found.weights.dtype == np.float32
    assert np.allclose(found.weights.sum(-1), 1, atol=1e-5)
    assert (found.n_cut, found.message) == (0, "")


def test_a_classifier_gives_the_same(model_dir, tokenizer, found):
    again = attention_of(load_classifier(str(model_dir), attention=True), tokenizer, TEXT)
    assert np.allclose(again.weights, found.weights, atol=1e-6)


def test_long_and_empty_texts_are_handled_and_told(encoder_dir, tokenizer):
    model = load_encoder(str(encoder_dir), attention=True)
    long = attention_of(model, tokenizer, "number " * 100, max_length=20)
    assert (len(long.tokens), long.n_cut) == (20, 82)
    assert long.tokens[-1] == "[SEP]"
    assert "last 82 tokens" in long.message
    assert len(attention_of(model, tokenizer, "number " * 100).tokens) == 64  # what the encoder takes
    assert attention_of(model, tokenizer, "").tokens == ["[CLS]", "[SEP]"]


def test_a_model_without_attention_says_how_to_load_it(encoder_dir, tokenizer):
    with pytest.raises(UsageError, match=r"load_encoder\(name, attention=True\)"):
        attention_of(load_encoder(str(encoder_dir)), tokenizer, TEXT)


def test_an_architecture_without_attention_says_so(tokenizer):
    class NoAttention:
        config = type("C", (), {"max_position_embeddings": 64})

        def to(self, _):
            return self

        def eval(self):
            return self

        def __call__(self, **_):
            return type("O", (), {"attentions": None})

    with pytest.raises(UsageError, match="an architecture that has attention"):
        attention_of(NoAttention(), tokenizer, TEXT)


def test_rollout_by_hand():
    """Two layers of one head: 0.5·A + 0.5·I each, multiplied."""
    first, second = np.array([[1.0, 0], [1, 0]]), np.array([[0.0, 1], [0, 1]])
    flow = rollout(np.stack([first, second])[:, None])
    assert flow[0].tolist() == [[1, 0], [0.5, 0.5]]
    assert flow[1].tolist() == [[0.75, 0.25], [0.5, 0.5]]


def test_entropy_by_hand():
    even, pointed = np.full((4, 4), 0.25), np.eye(4)
    half = np.array([[0.5, 0.5, 0, 0]] * 4)
    entropy = head_entropy(np.stack([even, pointed, half])[None])
    assert entropy[0].tolist() == pytest.approx([1, 0, 0.5], abs=1e-6)
    assert head_entropy(np.ones((1, 2, 1, 1))).tolist() == [[0, 0]]


def test_shares_by_hand():
    """Tokens CLS a b a SEP; the three words look thus:"""
    tokens = ["[CLS]", "a", "b", "a", "[SEP]"]
    weights = np.zeros((1, 1, 5, 5), dtype=np.float32)
    weights[0, 0, 0] = weights[0, 0, 4] = 0.2  # special tokens' rows do not count
    weights[0, 0, 1] = [0.5, 0.1, 0.2, 0.2, 0]
    weights[0, 0, 2] = [0, 0.3, 0.3, 0.4, 0]
    weights[0, 0, 3] = [0, 0.6, 0, 0, 0.4]
    special = type("T", (), {"cls_token": "[CLS]", "sep_token": "[SEP]"})
    table = attends_to([Attention(tokens, weights, 0)] * 2, special).set_index("target")["share"]
    wanted = {
        "CLS": 0.5, "SEP": 0.4, "itself": 0.1 + 0.3, "next": 0.2 + 0.4 + 0.4, "previous": 0.5 + 0.3, "same word": 0.2 + 0.6
    }  # fmt: skip
    assert table.to_dict() == pytest.approx({target: total / 3 for target, total in wanted.items()})


def test_nothing_to_look_from(encoder_dir, tokenizer):
    empty = attention_of(load_encoder(str(encoder_dir), attention=True), tokenizer, "")
    with pytest.raises(UsageError, match="a word or more"):
        attends_to([empty], tokenizer)


def test_targets_are_those_of_the_table(found, tokenizer):
    assert tuple(attends_to([found], tokenizer)["target"].unique()) == attention.TARGETS
