import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from bioutils.heads.lstm import BiLSTM, reversed_texts


@pytest.fixture
def texts():
    """Vectors (3, 7, 5) of texts of 7, 4 and 1 tokens, and their mask."""
    torch.manual_seed(0)
    lengths = torch.tensor([7, 4, 1])
    return torch.randn(3, 7, 5, dtype=torch.float64), (torch.arange(7) < lengths[:, None]).long(), lengths


def both(texts, layers=2):
    vectors, mask, lengths = texts
    ours = BiLSTM(5, 3, layers=layers).double().eval()
    torchs = torch.nn.LSTM(5, 3, layers, batch_first=True, bidirectional=True).double().eval()
    torchs.load_state_dict(ours.state_dict())  # same names, same shapes
    packed = pack_padded_sequence(vectors, lengths, batch_first=True)
    return ours, torchs, ours(vectors, mask), pad_packed_sequence(torchs(packed)[0], batch_first=True)[0]


@pytest.mark.parametrize("layers", [1, 2])
def test_outputs_and_gradients_equal_torchs(texts, layers):
    # The cell is kept in float32, so double precision agrees to about 1e-7.
    ours, torchs, found, wanted = both(texts, layers)
    assert torch.allclose(found, wanted, atol=1e-6)
    weights = torch.linspace(-1, 1, found.numel(), dtype=torch.float64).view_as(found)
    (found * weights).sum().backward()
    (wanted * weights).sum().backward()
    for (name, a), b in zip(ours.named_parameters(), torchs.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, atol=1e-5), name


def test_the_gradient_of_the_vectors_equals_torchs(texts):
    vectors, mask, lengths = texts
    first, second = vectors.clone().requires_grad_(), vectors.clone().requires_grad_()
    ours, torchs, *_ = both(texts)
    ours(first, mask).square().sum().backward()
    packed = pack_padded_sequence(second, lengths, batch_first=True)
    pad_packed_sequence(torchs(packed)[0], batch_first=True)[0].square().sum().backward()
    assert torch.allclose(first.grad, second.grad, atol=1e-5)
    assert not first.grad[mask == 0].any()


def test_padding_and_neighbours_change_nothing(texts):
    vectors, mask, _ = texts
    ours = BiLSTM(5, 3).double().eval()
    together = ours(vectors, mask)
    alone = ours(vectors[1:2, :4], mask[1:2, :4])
    assert torch.allclose(together[1:2, :4], alone, atol=1e-12)
    noisy = vectors.masked_fill(mask.unsqueeze(-1) == 0, 99.0)
    assert torch.allclose(ours(noisy, mask), together, atol=1e-12)
    assert not together[mask == 0].any()


def test_texts_are_read_from_their_own_ends():
    assert reversed_texts(torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])).tolist() == [[3, 2, 1, 0], [1, 0, 2, 3]]


def test_the_number_of_threads_is_put_back(texts):
    before = torch.get_num_threads()
    both(texts)
    assert torch.get_num_threads() == before
