import numpy as np
import pytest
import torch

from bioutils.attribution import Attribution, agreement, integrated_gradients, randomised
from bioutils.encoders import load_classifier, load_tokenizer
from bioutils.errors import UsageError


@pytest.fixture(scope="module")
def judge(model_dir):
    return load_classifier(str(model_dir)), load_tokenizer(str(model_dir))


def logit(model, ids, target):
    with torch.no_grad():
        return float(model(input_ids=torch.tensor([ids])).logits[0, target])


def test_scores_add_up_to_the_change_of_the_logit(judge):
    model, tokenizer = judge
    text = "Growth of cells, zinc."
    found = integrated_gradients(model, tokenizer, text, target=1, n_steps=300)
    ids = tokenizer(text)["input_ids"]
    blank = [ids[0], *[tokenizer.pad_token_id] * (len(ids) - 2), ids[-1]]
    change = logit(model, ids, 1) - logit(model, blank, 1)
    assert found.scores.sum() + found.special + found.gap == pytest.approx(change, abs=1e-4)
    assert abs(found.gap) < 0.05
    assert found.words == ["Growth", "of", "cells", ",", "zinc", "."]
    assert found.target == 1


def test_the_predicted_class_is_the_default(judge):
    model, tokenizer = judge
    found = integrated_gradients(model, tokenizer, "binding of zinc")
    with torch.no_grad():
        probabilities = model(**tokenizer("binding of zinc", return_tensors="pt")).logits[0].softmax(-1)
    assert found.target == int(probabilities.argmax())
    assert found.probability == pytest.approx(float(probabilities.max()), abs=1e-5)


def test_long_texts_are_cut_and_counted_and_empty_ones_refused(judge):
    model, tokenizer = judge
    found = integrated_gradients(model, tokenizer, "number " * 30, max_length=12, n_steps=4)
    assert (len(found.words), found.n_cut) == (10, 20)
    with pytest.raises(UsageError, match="one word or more"):
        integrated_gradients(model, tokenizer, "  ")
    with pytest.raises(UsageError, match="from 0 to 2"):
        integrated_gradients(model, tokenizer, "zinc", target=3)


def test_pieces_of_a_word_are_added_up():
    model, tokenizer = load_classifier("minilm", labels=["a", "b"], seed=0), load_tokenizer("minilm")
    found = integrated_gradients(model, tokenizer, "phosphatidylinositol binding", n_steps=4)
    assert found.words == ["phosphatidylinositol", "binding"]
    assert found.scores.shape == (2,)


def test_random_weights_change_the_attribution(judge):
    model, tokenizer = judge
    blank, again, other = (randomised(model, seed=seed) for seed in (0, 0, 1))
    first, same, third = (dict(m.named_parameters())["classifier.weight"] for m in (blank, again, other))
    assert torch.equal(first, same)
    assert not torch.equal(first, third)
    text = "the growth of a cell was a number of cells , it binds zinc"
    learned = integrated_gradients(model, tokenizer, text, target=0)
    with_twice = integrated_gradients(model, tokenizer, text, target=0, n_steps=128)
    anew = integrated_gradients(blank, tokenizer, text, target=0)
    assert agreement(learned, with_twice) > 0.95
    assert agreement(learned, anew) < 0.8


def test_agreement_is_of_the_same_words():
    def made(words, scores):
        return Attribution(words, np.array(scores), 0.0, 0, 1.0, 0.0, 0)

    assert agreement(made(list("abc"), [1, 2, 3]), made(list("abc"), [10, 20, 90])) == 1
    assert agreement(made(list("abc"), [1, 2, 3]), made(list("abc"), [3, 2, 1])) == -1
    assert np.isnan(agreement(made(["a"], [1]), made(["a"], [1])))
    with pytest.raises(UsageError, match="same text"):
        agreement(made(["a"], [1]), made(["b"], [1]))
