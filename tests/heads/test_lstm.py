import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from bioutils.heads.lstm import BiLSTM, dropout, reversed_texts, step_order


@pytest.fixture
def texts():
    """Vectors (3, 7, 5) of texts of 7, 4 and 1 tokens, and their mask."""
    torch.manual_seed(0)
    lengths = torch.tensor([7, 4, 1])
    return torch.randn(3, 7, 5, dtype=torch.float64), (torch.arange(7) < lengths[:, None]).long(), lengths


def both(texts, layers=2):
    vectors, mask, lengths = texts
    torchs = torch.nn.LSTM(5, 3, layers, batch_first=True, bidirectional=True).double().eval()
    ours = BiLSTM(5, 3, layers=layers).double().eval().load_torch(torchs)
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
    gradients = torch.nn.LSTM(5, 3, layers, batch_first=True, bidirectional=True).double()
    with torch.no_grad():
        for mine, theirs in zip(gradients.parameters(), torchs.parameters(), strict=True):
            mine.copy_(theirs.grad)
        for layer in range(layers):  # each of torch's two biases has the whole gradient
            for side in ("", "_reverse"):
                getattr(gradients, f"bias_hh_l{layer}{side}").zero_()
    as_ours = BiLSTM(5, 3, layers=layers).double().load_torch(gradients)
    for (name, mine), theirs in zip(ours.named_parameters(), as_ours.parameters(), strict=True):
        assert torch.allclose(mine.grad, theirs, atol=1e-5), name


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


def test_the_order_of_steps_is_a_permutation_and_its_inverse():
    order, inverse = step_order(torch.tensor([[1, 1, 1], [1, 0, 0]]))
    assert order[:, 0, 0].tolist() == [0, 2, 4]  # the first text forth,
    assert order[:, 1, 0].tolist() == [5, 3, 1]  # and back
    assert order[:, 1, 1].tolist() == [7, 9, 11]  # one token: its own end is its beginning
    assert order.view(-1)[inverse].tolist() == list(range(12))


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_dropout_drops_its_share_and_keeps_the_mean(share):
    torch.manual_seed(0)
    found = dropout(torch.ones(300, 1001), share)
    assert (found == 0).float().mean().item() == pytest.approx(share, abs=0.01)
    assert found.mean().item() == pytest.approx(1, abs=0.01)
    assert found.unique().numel() == 2
    torch.manual_seed(0)
    assert torch.equal(found, dropout(torch.ones(300, 1001), share))


def test_it_is_for_training_alone(texts):
    vectors, mask, _ = texts
    lstm = BiLSTM(5, 3).double()
    assert not torch.equal(lstm.train()(vectors, mask), lstm(vectors, mask))
    assert torch.equal(lstm.eval()(vectors, mask), lstm(vectors, mask))


def test_the_number_of_threads_is_put_back(texts):
    before = torch.get_num_threads()
    both(texts)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("layers", [1, 2])
def test_the_first_output_alone_is_the_same_with_the_same_gradients(texts, layers):
    vectors, mask, _ = texts
    lstm = BiLSTM(5, 3, layers=layers).double().eval()
    found, wanted = lstm.first(vectors, mask), lstm(vectors, mask)[:, 0]
    assert torch.allclose(found, wanted, atol=1e-6)
    gradients = []
    for output in (found, wanted):
        lstm.zero_grad()
        output.square().sum().backward()
        gradients.append([weight.grad.clone() for weight in lstm.parameters()])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*gradients, strict=True))
