import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from bioutils.encoders import load_classifier, load_tokenizer
from bioutils.errors import UsageError
from bioutils.features import pad_batch, round_up, token_budget_batches, tokenise
from bioutils.inference import predict_logits


def test_cut_tokens_are_counted_and_the_end_mark_kept(model_dir):
    tokenizer = load_tokenizer(str(model_dir))
    rows = tokenise(Dataset.from_dict({"text": ["a b", "a b c cell cells grow"]}), tokenizer, max_length=5)
    assert rows["length"][:] == [4, 5]
    assert rows["n_cut"][:] == [0, 3]
    assert [ids[-1] for ids in rows["input_ids"][:]] == [tokenizer.sep_token_id] * 2
    with pytest.raises(UsageError, match="special tokens"):
        tokenise(rows, tokenizer, max_length=2)


@given(st.lists(st.integers(1, 300), max_size=80), st.integers(1, 2000), st.none() | st.integers(0, 5))
def test_batches_hold_each_row_once_within_the_budget(lengths, budget, seed):
    batches = token_budget_batches(lengths, max_tokens=budget, seed=seed)
    assert sorted(int(i) for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        padded = round_up(max(lengths[i] for i in batch)) * len(batch)
        assert padded <= budget or len(batch) == 1


def test_seeded_batches_differ_by_seed_only():
    one, again, two = (token_budget_batches([5] * 50, max_tokens=160, seed=s) for s in (1, 1, 2))
    assert [b.tolist() for b in one] == [b.tolist() for b in again] != [b.tolist() for b in two]


def test_padding_is_masked(model_dir):
    batch = pad_batch([[2, 5, 3], [2, 3]], load_tokenizer(str(model_dir)), multiple=4)
    assert batch["input_ids"].tolist() == [[2, 5, 3, 0], [2, 3, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 1, 0, 0]]


def test_batch_size_order_and_padding_do_not_change_a_prediction(model_dir):
    model, tokenizer = load_classifier(str(model_dir)), load_tokenizer(str(model_dir))
    texts = ["cells grow", "it was", "the membrane binds a b c of the cells " * 3, "a", "c b a"]
    plain = predict_logits(model, tokenizer, texts, max_length=40, bf16=False)
    for budget in (1, 64, 10_000):
        other = predict_logits(model, tokenizer, texts[::-1], max_length=40, batch_tokens=budget, bf16=False)
        assert np.allclose(other.logits[::-1], plain.logits, atol=1e-4)
    with torch.no_grad():
        alone = model(**tokenizer(texts[0], return_tensors="pt")).logits[0].numpy()
    assert np.allclose(alone, plain.logits[0], atol=1e-4)
    assert np.ptp(plain.logits, axis=0).max() > 0.01  # else nothing was compared


def test_long_and_no_texts(model_dir):
    model, tokenizer = load_classifier(str(model_dir)), load_tokenizer(str(model_dir))
    assert predict_logits(model, tokenizer, ["a " * 100, "a"], max_length=10).n_cut == 1
    assert predict_logits(model, tokenizer, [], max_length=10).logits.shape == (0, 3)
