import itertools

import pytest
import torch

from bioutils.corpora.tags import illegal
from bioutils.heads.crf import CRF, forbidden_steps

IOB2 = ["O", "B-X", "I-X", "B-Y", "I-Y"]
IOBES = ["O", *(f"{letter}-{kind}" for kind in "XY" for letter in "BIES")]


@pytest.fixture
def batch():
    torch.manual_seed(0)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]])
    return torch.randn(3, 4, 5, dtype=torch.float32, requires_grad=True), torch.randint(0, 5, (3, 4)), mask


def brute(crf: CRF, emissions: torch.Tensor, n: int) -> dict[tuple, torch.Tensor]:
    """The score of every path there is over the first ``n`` words of one row."""
    start, steps, end = crf._scores()
    found = {}
    for path in itertools.product(range(emissions.shape[-1]), repeat=n):
        score = start[path[0]] + end[path[-1]] + sum(emissions[i, tag] for i, tag in enumerate(path))
        found[path] = score + sum(steps[a, b] for a, b in itertools.pairwise(path))
    return found


@pytest.mark.parametrize("labels", [(), IOB2])
def test_likelihood_and_best_path_by_brute_force(labels, batch):
    emissions, tags, mask = batch
    torch.manual_seed(1)
    crf = CRF(5, labels=labels)
    wanted, paths = [], []
    for row in range(3):
        n = int(mask[row].sum())
        scores = brute(crf, emissions[row], n)
        wanted.append(torch.logsumexp(torch.stack(list(scores.values())), 0) - scores[tuple(tags[row, :n].tolist())])
        paths.append(list(max(scores, key=lambda path: scores[path].item())))
    loss = crf(emissions, tags, mask)
    assert torch.allclose(loss, torch.stack(wanted).mean(), rtol=1e-5)
    assert crf.decode(emissions, mask) == paths
    gradients = [
        torch.autograd.grad(x, [emissions, crf.steps], retain_graph=True) for x in (loss, torch.stack(wanted).mean())
    ]
    for ours, theirs in zip(*gradients, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_it_is_pytorch_crfs(batch):
    torchcrf = pytest.importorskip("torchcrf")
    emissions, tags, mask = batch
    crf, other = CRF(5), torchcrf.CRF(5, batch_first=True)
    with torch.no_grad():
        other.start_transitions.copy_(crf.start)
        other.end_transitions.copy_(crf.end)
        other.transitions.copy_(crf.steps)
    wanted = -other(emissions, tags, mask=mask.bool(), reduction="mean")
    assert torch.allclose(crf(emissions, tags, mask), wanted, rtol=1e-5)
    assert crf.decode(emissions, mask) == other.decode(emissions, mask=mask.bool())


@pytest.mark.parametrize(("labels", "scheme"), [(IOB2, "IOB2"), (IOBES, "IOBES")])
def test_decoded_paths_are_legal_whatever_the_emissions(labels, scheme):
    torch.manual_seed(0)
    n = len(labels)
    crf = CRF(n, labels=labels, scheme=scheme)
    mask = (torch.arange(9) < torch.randint(1, 10, (60, 1))).long()
    for path in crf.decode(torch.randn(60, 9, n) * 5, mask):
        assert not illegal([labels[i] for i in path], scheme)


@pytest.mark.parametrize(("labels", "scheme"), [(IOB2, "IOB2"), (IOBES, "IOBES")])
def test_every_legal_sequence_is_possible_and_no_other(labels, scheme):
    first, step, last = forbidden_steps(labels, scheme)
    for path in itertools.product(range(len(labels)), repeat=3):
        allowed = not (first[path[0]] or last[path[-1]] or any(step[a, b] for a, b in itertools.pairwise(path)))
        assert allowed == (not illegal([labels[i] for i in path], scheme)), [labels[i] for i in path]


def test_padding_and_neighbours_change_nothing(batch):
    emissions, tags, mask = batch
    crf = CRF(5)
    alone = [
        crf(emissions[i : i + 1, :n], tags[i : i + 1, :n], mask[i : i + 1, :n])
        for i, n in enumerate(mask.sum(1).tolist())
    ]
    assert torch.allclose(crf(emissions, tags, mask), torch.stack(alone).mean(), rtol=1e-5)
    noisy = emissions.masked_fill(mask.unsqueeze(2) == 0, 99.0)
    assert torch.allclose(crf(noisy, tags.masked_fill(mask == 0, 4), mask), crf(emissions, tags, mask))
    assert crf.decode(noisy, mask) == crf.decode(emissions, mask)


def test_it_learns_what_softmax_cannot():
    """Emissions say nothing; the steps alone tell that tag 1 follows tag 0."""
    torch.manual_seed(0)
    crf = CRF(2)
    emissions, tags, mask = torch.zeros(8, 6, 2), torch.tensor([[0, 1] * 3] * 8), torch.ones(8, 6)
    optimizer = torch.optim.Adam(crf.parameters(), lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        loss = crf(emissions, tags, mask)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3
    assert crf.decode(emissions[:1], mask[:1]) == [[0, 1] * 3]


def test_marginals_by_brute_force(batch):
    emissions, _, mask = batch
    torch.manual_seed(3)
    crf = CRF(5, labels=IOB2)
    found = crf.marginals(emissions, mask)
    for row in range(3):
        n = int(mask[row].sum())
        scores = brute(crf, emissions[row], n)
        chances = torch.softmax(torch.stack(list(scores.values())), 0)
        wanted = torch.zeros(n, 5)
        for path, chance in zip(scores, chances, strict=True):
            wanted[range(n), list(path)] += chance
        assert torch.allclose(found[row, :n], wanted, atol=1e-5)
