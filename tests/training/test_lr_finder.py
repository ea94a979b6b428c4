import numpy as np
import pytest
import torch

from bioutils.errors import UsageError
from bioutils.training.lr_finder import range_test, steepest


def setting(scale=1.0):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 1), torch.nn.Dropout(0.1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    x = torch.randn(64, 4)
    y = x @ torch.tensor([[1.0], [-2], [3], [0.5]]) * scale
    batches = [(x[i : i + 8], y[i : i + 8]) for i in range(0, 64, 8)]

    def loss_of(batch):
        return ((model(batch[0]) - batch[1]) ** 2).mean()

    return model, optimizer, batches, loss_of


def test_the_sweep_grows_by_a_constant_factor_and_finds_where_loss_falls():
    model, optimizer, batches, loss_of = setting()
    found = range_test(model, optimizer, batches, loss_of, low=1e-5, high=10, steps=60)
    factors = found.rates[1:] / found.rates[:-1]
    assert np.allclose(factors, (10 / 1e-5) ** (1 / 59))
    assert found.diverged  # momentum and a rate near 1: the loss runs away before the end
    assert len(found.rates) < 60
    assert 1e-3 < found.suggestion < 1
    assert list(found.table()) == ["learning_rate", "loss", "smoothed"]


def test_everything_is_as_before():
    model, optimizer, batches, loss_of = setting()
    loss_of(batches[0]).backward()
    optimizer.step()  # so that there is momentum to be restored
    model.eval()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    momentum = [optimizer.state[p]["momentum_buffer"].clone() for p in model.parameters()]
    random = torch.get_rng_state()
    range_test(model, optimizer, batches, loss_of, steps=20)
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    after = [optimizer.state[p]["momentum_buffer"] for p in model.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(momentum, after, strict=True))
    assert optimizer.param_groups[0]["lr"] == 0.03
    assert torch.equal(random, torch.get_rng_state())
    assert not model.training


def test_smoothing_by_hand():
    model, optimizer, batches, _ = setting()
    values = iter([4.0, 2.0, 1.0] + [1.0] * 7)
    found = range_test(
        model, optimizer, batches, lambda _: sum(p.sum() for p in model.parameters()) * 0 + next(values), steps=10,
        smoothing=0.5,
    )  # fmt: skip
    # Weighted means with weights 1; 1/3, 2/3; 1/7, 2/7, 4/7.
    assert found.smoothed[:3] == pytest.approx([4, (4 + 2 * 2) / 3, (4 + 2 * 2 + 4 * 1) / 7])


def test_where_loss_falls_fastest():
    rates = 10.0 ** np.arange(-6, 0)
    assert steepest(rates, np.array([5, 5, 4, 1, 1, 9.0])) == 1e-4  # central difference: (1 - 5) / 2 and (1 - 4) / 2
    assert steepest(rates, np.arange(6.0)) is None
    assert steepest(rates[:2], np.array([2.0, 1])) is None


@pytest.mark.parametrize("wrong", [{"low": 0}, {"low": 1, "high": 0.1}, {"steps": 3}, {"smoothing": 1}])
def test_a_range_that_is_none(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        range_test(*setting(), **wrong)


def test_no_batches_and_a_loss_that_is_not_finite():
    model, optimizer, _, loss_of = setting()
    with pytest.raises(UsageError, match="batches"):
        range_test(model, optimizer, [], loss_of)
    model, optimizer, batches, loss_of = setting(scale=float("nan"))
    with pytest.raises(UsageError, match="not finite"):
        range_test(model, optimizer, batches, loss_of)
