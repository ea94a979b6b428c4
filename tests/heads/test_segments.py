import math

import pytest
import torch

from bioutils.heads.classification import make_head
from bioutils.heads.convolution import Convolution
from bioutils.heads.segments import SegmentConvolutions, cut

SEGMENTS = torch.tensor(
    [
        [[0, 3], [1, 4], [2, 6], [5, 8], [6, 9]],
        [[0, 2], [0, 3], [2, 2], [2, 4], [3, 5]],
        [[0, 2], [0, 2], [1, 2], [1, 2], [2, 2]],
    ]
)
SWAPPED = torch.tensor([0, 1, 0])


@pytest.fixture
def texts():
    torch.manual_seed(0)
    mask = (torch.arange(9) < torch.tensor([9, 5, 2])[:, None]).long()
    return torch.randn(3, 9, 8) * mask.unsqueeze(-1), mask


def test_cut_by_hand():
    vectors = torch.arange(12.0).view(2, 6, 1)
    tokens, mask = cut(vectors, torch.tensor([[1, 4], [3, 3]]))
    assert tokens[..., 0].tolist() == [[1, 2, 3], [0, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 0]]
    tokens, mask = cut(vectors, torch.tensor([[2, 2], [6, 6]]))  # all empty: one token of zeros
    assert tokens.shape == (2, 1, 1)
    assert tokens.abs().sum() == 0 == mask.sum()


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("pooling", ["max", "average"])
def test_a_segment_is_convolved_as_if_it_were_a_text(pooling, kernel, texts):
    vectors = texts[0].requires_grad_()
    torch.manual_seed(1)
    convolutions = SegmentConvolutions(8, filters=2, kernel=kernel, pooling=pooling)
    together = convolutions(vectors, SEGMENTS)
    for part in range(5):
        plain = Convolution(8, filters=2, kernel=kernel, pooling=pooling)
        plain.convolution.weight.data = convolutions.weight[part].detach().permute(2, 1, 0)
        plain.convolution.bias.data = convolutions.bias[part].detach()
        for row, (start, end) in enumerate(SEGMENTS[:, part].tolist()):
            if start == end:
                assert together[part, row].abs().sum() == 0
                continue
            piece = vectors[row : row + 1, start:end]
            alone = plain(piece, torch.ones(1, end - start, dtype=torch.long))
            assert torch.allclose(together[part, row], alone[0], atol=1e-5)
            on_vectors, on_weights, on_bias = torch.autograd.grad(
                together[part, row].square().sum(), (vectors, convolutions.weight, convolutions.bias), retain_graph=True
            )
            wanted = torch.autograd.grad(
                alone.square().sum(), (vectors, plain.convolution.weight, plain.convolution.bias)
            )
            assert torch.allclose(on_vectors, wanted[0], atol=1e-4)
            assert torch.allclose(on_weights[part], wanted[1].permute(2, 1, 0), atol=1e-4)
            assert torch.allclose(on_bias[part], wanted[2], atol=1e-4)
            assert on_weights.abs().sum() == on_weights[part].abs().sum()


@pytest.mark.parametrize(
    ("name", "options"),
    [("CNN_seg", {}), ("CNN_seg", {"project": 6}), ("CNN_seg", {"pooling": "average"}), ("entities", {})],
)
def test_neighbours_and_padding_change_no_prediction(name, options, texts):
    vectors, mask = texts
    head = make_head(name, 8, 4, seed=1, **options).eval()
    together = head(vectors, mask, segments=SEGMENTS, swapped=SWAPPED)
    assert together.shape == (3, 4)
    assert together.isfinite().all()
    for i, length in enumerate(mask.sum(1)):
        alone = head(
            vectors[i : i + 1, :length],
            mask[i : i + 1, :length],
            segments=SEGMENTS[i : i + 1],
            swapped=SWAPPED[i : i + 1],
        )
        assert torch.allclose(together[i], alone[0], atol=1e-5)
    wider = torch.nn.functional.pad(vectors, (0, 0, 0, 4), value=50.0)
    again = head(wider, torch.nn.functional.pad(mask, (0, 4)), segments=SEGMENTS, swapped=SWAPPED)
    assert torch.allclose(again, together, atol=1e-5)


def test_the_order_of_the_arguments_matters(texts):
    vectors, mask = texts
    for name in ("CNN_seg", "entities"):
        head = make_head(name, 8, 4, seed=1).eval()
        forth = head(vectors, mask, segments=SEGMENTS, swapped=torch.zeros(3, dtype=torch.long))
        back = head(vectors, mask, segments=SEGMENTS, swapped=torch.ones(3, dtype=torch.long))
        assert not torch.allclose(forth[0], back[0], atol=1e-4)


def test_bounded_logits_cannot_be_sure(texts):
    vectors, mask = texts
    n = 7
    head = make_head("CNN_seg", 8, n, seed=1, bounded=True, pooling="average").eval()
    with torch.no_grad():
        for weight in head.output[-1].parameters():
            weight.mul_(1000)  # however sure the head would like to be
    found = head(vectors, mask, segments=SEGMENTS, swapped=SWAPPED).softmax(-1).max()
    assert found <= math.e / (math.e + (n - 1) / math.e) + 1e-6 == pytest.approx(0.552, abs=1e-3)


def test_sizes_are_those_of_the_experiments():
    head = make_head("CNN_seg", 768, 7)
    assert head.convolutions.weight.shape == (5, 3, 768, 2304)
    assert [(part[1].in_features, part[3].out_features) for part in head.parts] == [(2304, 100)] * 5
    assert head.output[2].in_features == 501  # five hundred, and the order of the arguments
    assert make_head("CNN", 768, 7, filters=8, hidden=0).output[1].out_features == 768
    assert sum(p.numel() for p in make_head("linear", 768, 7).parameters()) == 768 * 7 + 7
