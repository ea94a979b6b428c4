from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bioutils.errors import UsageError
from bioutils.training.electra.flops import Network, electra_flops, products_a_token
from bioutils.training.electra.objective import Electra, mask_rows, sample
from bioutils.training.electra.settings import SIZES, sized

SPECIAL, MASK = np.array([0, 2, 3, 4]), 4
ROWS = st.lists(st.lists(st.sampled_from([0, 2, 3, 5, 6, 7, 8, 9]), min_size=12, max_size=12), min_size=1, max_size=5)


@given(ROWS, st.integers(0, 1000), st.floats(0.05, 0.95), st.floats(0, 1))
@settings(deadline=None)
def test_masks(rows, seed, share, mask_token):
    ids = np.array(rows)
    found = mask_rows(ids, SPECIAL, mask_id=MASK, mask_share=share, mask_token=mask_token, seed=(seed, 1))
    usable = ~np.isin(ids, SPECIAL)
    assert not (found.chosen & ~usable).any()
    for row in range(len(ids)):
        n = usable[row].sum()
        assert found.chosen[row].sum() == (min(n, max(1, round(n * share))) if n else 0)
    changed = found.input_ids != ids
    assert (found.input_ids[changed] == MASK).all()
    assert not (changed & ~found.chosen).any()
    assert np.array_equal(found.original, ids)
    assert ((found.draw >= 0) & (found.draw < 1)).all()
    again = mask_rows(ids, SPECIAL, mask_id=MASK, mask_share=share, mask_token=mask_token, seed=(seed, 1))
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))


def test_every_chosen_token_is_masked_or_none():
    ids = np.full((50, 40), 7)
    for share, n in ((0.0, 0), (1.0, 50 * 6)):
        found = mask_rows(ids, SPECIAL, mask_id=MASK, mask_share=0.15, mask_token=share, seed=(0,))
        assert (found.input_ids == MASK).sum() == n
    found = mask_rows(ids, SPECIAL, mask_id=MASK, mask_share=0.15, mask_token=0.85, seed=(0,))
    assert 0.8 < (found.input_ids == MASK).sum() / 300 < 0.9
    assert 0 < found.chosen.sum(0).min() < found.chosen.sum(0).max() < 20  # all places get their turn


def test_samples_follow_the_distribution():
    probabilities = torch.tensor([0.1, 0.2, 0.0, 0.7])
    draw = torch.linspace(0, 1, 2001)[:-1]
    found = sample(probabilities.log().expand(2000, 4), draw)
    assert torch.bincount(found, minlength=4).tolist() == pytest.approx([200, 400, 0, 1400], abs=2)
    assert sample(torch.tensor([[0.0, 0.0]]), torch.tensor([0.99999997])).tolist() == [
        1
    ]  # rounding never leaves the table


def inputs(ids, tokenizer, seed=0):
    special = np.array([tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id])
    masked = mask_rows(ids, special, mask_id=tokenizer.mask_token_id, mask_share=0.3, mask_token=0.85, seed=(seed,))
    return {name: torch.from_numpy(value) for name, value in masked._asdict().items()}


@pytest.mark.parametrize("padded", [False, True])
def test_losses_and_gradients_against_a_plain_computation(examples, tiny, padded):
    tokenizer = examples.tokenizer()
    model = Electra(tiny, tokenizer).double().eval()
    ids = examples.rows("train", np.arange(4))
    if padded:
        ids[1:, 20:] = tokenizer.pad_token_id
    given = inputs(ids, tokenizer)
    step = model(**given)
    loss = model.loss(step, step.n_chosen, step.n_real)
    loss.backward()
    found = {name: weight.grad.clone() for name, weight in model.named_parameters()}

    model.zero_grad()
    real = given["original"] != tokenizer.pad_token_id
    logits = model.generator(given["input_ids"], attention_mask=real.long()).logits  # over all places, then chosen
    labels = torch.where(given["chosen"], given["original"], -100)
    generator_loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    assert torch.allclose(logits[given["chosen"]], step.generator_logits)
    unchanged = step.filled == given["original"]
    assert torch.equal(~unchanged, step.replaced)
    assert unchanged[~given["chosen"]].all()
    chance = model.discriminator(step.filled, attention_mask=real.long()).logits.sigmoid()
    by_hand = -torch.where(step.replaced, chance, 1 - chance).log()[real].mean()
    total = generator_loss + 50 * by_hand
    assert total.item() == pytest.approx(loss.item(), rel=1e-6)  # the losses themselves are float32
    total.backward()
    for name, weight in model.named_parameters():
        assert torch.allclose(weight.grad, found[name], rtol=1e-5, atol=1e-7), name


@pytest.mark.parametrize("sharing", ["all", "disentangled", "none"])
def test_in_a_warm_start_both_networks_fill_in(examples, tiny, sharing):
    tokenizer = examples.tokenizer()
    model = Electra(replace(tiny, warm_start=0.5, sharing=sharing), tokenizer).double().eval()
    given = inputs(examples.rows("train", np.arange(4)), tokenizer)
    step = model(**given, warm=True)
    loss = model.loss(step, step.n_chosen, step.n_real)
    loss.backward()
    by_hand = 0.0
    for network in (model.generator, model.filler):
        ids = {"input_ids": given["input_ids"]}
        if sharing == "disentangled" and network is model.filler:  # its table is what it adds, at first nothing
            ids = {"inputs_embeds": model.generator.electra.embeddings.word_embeddings(given["input_ids"])}
        logits = network(**ids).logits[given["chosen"]]
        by_hand += torch.nn.functional.cross_entropy(logits, given["original"][given["chosen"]])
    assert loss.item() == pytest.approx(by_hand.item(), rel=1e-6)
    grown = {name for name, weight in model.discriminator.named_parameters() if weight.grad is not None}
    assert any("layer.1" in name for name in grown)
    assert not any("discriminator_predictions" in name for name in grown)
    assert float(step.detection_loss) == 0
    model.zero_grad()
    step = model(**given)
    model.loss(step, step.n_chosen, step.n_real).backward()
    assert step.filling_loss is None
    assert all(weight.grad is not None for weight in model.discriminator.discriminator_predictions.parameters())
    assert model.filler.generator_predictions.dense.weight.grad is None


@pytest.mark.parametrize("sharing", ["all", "disentangled", "none"])
def test_filling_in_alone_against_a_plain_computation(examples, tiny, sharing):
    tokenizer = examples.tokenizer()
    model = Electra(replace(tiny, objective="mlm", sharing=sharing), tokenizer).double().eval()
    assert model.encoder() is model.generator
    assert model.generator.config.hidden_size == tiny.hidden_size, "not a quarter of it"
    ids = examples.rows("train", np.arange(4))
    ids[1:, 20:] = tokenizer.pad_token_id
    given = inputs(ids, tokenizer)
    step = model(**given)
    loss = model.loss(step, step.n_chosen, step.n_real)
    loss.backward()
    assert all(weight.grad is not None for weight in model.parameters()), "nothing lies idle"
    labels = torch.where(given["chosen"], given["original"], -100)
    mask = (given["original"] != tokenizer.pad_token_id).long()
    by_hand = model.generator(given["input_ids"], attention_mask=mask, labels=labels).loss
    assert loss.item() == pytest.approx(by_hand.item(), rel=1e-6)
    assert float(step.detection_loss) == 0
    assert step.scores is None


def test_a_sample_equal_to_the_original_counts_as_original(examples, tiny):
    tokenizer = examples.tokenizer()
    model = Electra(tiny, tokenizer).eval()
    with torch.no_grad():  # a generator that is always right about "p53"
        right = tokenizer.convert_tokens_to_ids("p53")
        model.generator.generator_lm_head.bias[right] = 1000.0
        ids = np.full((2, 16), right)
        step = model(**inputs(ids, tokenizer))
        assert not step.replaced.any()
        ids[1] = tokenizer.convert_tokens_to_ids("brca1")
        given = inputs(ids, tokenizer)
        step = model(**given)
        assert torch.equal(step.replaced[1], given["chosen"][1])
        assert not step.replaced[0].any()


def shared(model, of):
    tables = [network.electra.embeddings for network in (model.generator, model.discriminator)]
    return of(tables[0]) is of(tables[1])


def test_what_is_shared(examples, tiny):
    from dataclasses import replace

    tokenizer = examples.tokenizer()
    model = Electra(tiny, tokenizer)
    assert shared(model, lambda e: e.word_embeddings.weight)
    assert shared(model, lambda e: e.position_embeddings.weight)
    head = model.generator.generator_lm_head.weight
    assert head is model.discriminator.electra.embeddings.word_embeddings.weight
    apart = Electra(replace(tiny, sharing="none"), tokenizer)
    assert not shared(apart, lambda e: e.word_embeddings.weight)
    assert apart.generator.generator_lm_head.weight is apart.generator.electra.embeddings.word_embeddings.weight


def test_disentangled_sharing_keeps_the_discriminator_from_the_generators_table(examples, tiny):
    from dataclasses import replace

    tokenizer = examples.tokenizer()
    model = Electra(replace(tiny, sharing="disentangled"), tokenizer).double().eval()
    given = inputs(examples.rows("train", np.arange(4)), tokenizer)
    step = model(**given)
    step.detection_loss.backward()
    assert model.generator.electra.embeddings.word_embeddings.weight.grad is None
    assert model.discriminator.electra.embeddings.word_embeddings.weight.grad.abs().sum() > 0
    saved = model.encoder()
    with torch.no_grad():
        assert torch.allclose(saved(step.filled).logits, model.detect(step.filled))


def test_the_generator_is_a_quarter_as_wide():
    config = SIZES["small"].config(1000, generator=True)
    assert (config.hidden_size, config.num_attention_heads, config.intermediate_size) == (64, 1, 256)
    assert SIZES["base"].generator_width == 256
    config = SIZES["small"].config(1000)
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (256, 12, 4)


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_size": 100},
        {"mask_share": 1.0},
        {"accumulation": 3},
        {"sharing": "some"},
        {"precision": "int8"},
        {"steps": 0},
    ],
)
def test_settings_out_of_range(change):
    with pytest.raises(UsageError, match=next(iter(change))):
        sized("tiny", **change)


def test_filling_in_alone_has_no_warm_start():
    with pytest.raises(UsageError, match="leave warm_start at 0"):
        sized("tiny", objective="mlm", warm_start=0.3)


def test_filling_in_alone_costs_one_network():
    longer = sized("small", objective="mlm", steps=1_450_000)  # as long as the original compares with
    assert electra_flops(longer) == pytest.approx(1.419e18, rel=1e-3)
    sizes = {"vocabulary": 12_000, "tokens": 128}
    tiny, narrow = sized("tiny", objective="mlm"), sized("tiny", generator_share=1.0)
    assert products_a_token(tiny, **sizes) < products_a_token(narrow, **sizes)


def test_unknown_sizes_and_settings():
    with pytest.raises(UsageError, match="size"):
        sized("huge")
    with pytest.raises(UsageError, match="setting"):
        sized("tiny", momentum=1)


def test_operations_of_the_published_models():
    # Clark et al. 2020, table 8: 1.4e18 with another count of the output; the authors' script gives the numbers here.
    assert electra_flops(SIZES["small"]) == pytest.approx(1.294e18, rel=5e-4)
    assert electra_flops(SIZES["base"], tokens=512) == pytest.approx(6.425e19, rel=5e-4)
    assert electra_flops(SIZES["tiny"], rows=2) == 2 * electra_flops(SIZES["tiny"], rows=1)


def test_operations_by_hand():
    network = Network(hidden=2, layers=1, embedding=2, vocabulary=3, tokens=1)
    # 3·(8+2) + 4 + 4 + 10 + 8 + 2 + 20 = 78; 2·2·8 + 9·8 + 32 + 11·2 = 158
    assert network.block == 78 + 158
    assert network.detect == 8 + 2 + 16 + 4
    tiny = sized("tiny", hidden_size=64, generator_share=1.0, layers=1, embedding_size=64)
    layer = 2 * 64 * 64 * 12 + 4 * 64 * 10
    rest = 2 * 2 * 64 * 64 + 0.15 * (2 * 64 * 64 + 2 * 64 * 100) + 2 * 64 * 64 + 2 * 64
    assert products_a_token(tiny, vocabulary=100, tokens=10) == pytest.approx(3 * (2 * layer + rest))
