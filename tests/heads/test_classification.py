import pytest
import torch

from bioutils.errors import UsageError
from bioutils.heads.classification import HEADS, Convolution, make_head, n_weights

TOKEN_HEADS = [name for name, kind in HEADS.items() if not kind.pooled]


@pytest.fixture
def texts():
    torch.manual_seed(0)
    lengths = torch.tensor([9, 5, 2])
    mask = (torch.arange(9) < lengths[:, None]).long()
    return torch.randn(3, 9, 8) * mask.unsqueeze(-1), mask, lengths


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name, kind in HEADS.items() if not getattr(kind, "places", False)),
        ("CNN", {"pooling": "average"}),
        ("CNN", {"pooling": "words"}),
        ("CNN_RNN", {"pooling": "max"}),
    ],
)
def test_batch_order_and_padding_change_no_prediction(name, options, texts):
    vectors, mask, lengths = texts
    head = make_head(name, 8, 3, seed=1, **options).eval()
    if head.pooled:
        assert torch.allclose(head(vectors[:, 0])[1], head(vectors[1:2, 0])[0], atol=1e-6)
        return
    together = head(vectors, mask)
    for i, length in enumerate(lengths):
        alone = head(vectors[i : i + 1, :length], mask[i : i + 1, :length])[0]
        assert torch.allclose(together[i], alone, atol=1e-5)
    order = torch.tensor([2, 0, 1])
    assert torch.allclose(head(vectors[order], mask[order]), together[order], atol=1e-5)
    noisy = vectors.masked_fill(mask.unsqueeze(-1) == 0, 50.0)  # what stands in the padding must not matter
    wider = torch.nn.functional.pad(noisy, (0, 0, 0, 7), value=50.0)
    assert torch.allclose(head(wider, torch.nn.functional.pad(mask, (0, 7))), together, atol=1e-5)


@pytest.mark.parametrize(("pooling", "wanted"), [("max", 5.0), ("average", 3.0)])
def test_convolution_by_hand(pooling, wanted):
    """One channel that adds up three neighbours: 1 2 -> 3, 3; 0 2 3 -> 2 5 5; padding counts nowhere."""
    layer = Convolution(1, filters=1, kernel=3, pooling=pooling)
    torch.nn.init.ones_(layer.convolution.weight)
    torch.nn.init.zeros_(layer.convolution.bias)
    vectors = torch.tensor([[[1.0], [2], [9]], [[0], [2], [3]]])
    out = layer(vectors, torch.tensor([[1, 1, 0], [1, 1, 1]]))
    assert out[0].tolist() == [3.0]
    assert out[1].tolist() == [wanted if pooling == "max" else 4.0]


def test_the_earlier_pooling_gives_a_value_a_place():
    layer = Convolution(2, filters=2, pooling="words", positions=6)
    out = layer(torch.randn(1, 4, 2), torch.tensor([[1, 1, 1, 0]]))
    assert out.shape == (1, 6)
    assert not out[0, 3:].any()


def test_sizes_are_those_of_the_experiments():
    """BERT-base's width: 2 × 200 LSTM, 3 × 768 channels, 500 hidden."""
    head = make_head("CNN_RNN_parallel", 768, 7)
    assert head.convolution.convolution.weight.shape == (2304, 768, 3)
    assert head.output[1].weight.shape == (500, 2704)
    head = make_head("CNN_RNN", 768, 7)
    assert head.convolution.convolution.weight.shape == (1200, 400, 3)
    assert head.output[1].weight.shape == (500, 1600)
    assert make_head("RNN", 768, 7).output[1].weight.shape == (7, 400)


def test_seeds_and_names():
    first, second, other = (make_head("MLP", 8, 3, seed=s) for s in (1, 1, 2))
    assert torch.equal(first.layers[1].weight, second.layers[1].weight)
    assert not torch.equal(first.layers[1].weight, other.layers[1].weight)
    assert n_weights(make_head("logistic", 8, 3)) == 8 * 3 + 3 + 16
    with pytest.raises(UsageError, match="CNN_RNN_parallel"):
        make_head("transformer", 8, 3)
    with pytest.raises(UsageError, match="does not take"):
        make_head("logistic", 8, 3, kernel=3)
    with pytest.raises(UsageError, match="odd"):
        make_head("CNN", 8, 3, kernel=4)
