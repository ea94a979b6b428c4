import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from bioutils.errors import UsageError
from bioutils.heads.multihead import HeadSet, HeadSpec, LabelHead, LinkHead, label_weights, positive_weights
from bioutils.pair_inputs import Pairs, n_marks

TAGS = HeadSpec(name="tags", kind="single_label", layer="category")
MANY = HeadSpec(name="many", kind="multi_label", layer="category", weight=0.5)
PATH = HeadSpec(name="path", kind="crf", layer="category", scheme="BIO")
LINK = HeadSpec(name="link", kind="link", layer="link_same_tag_and_link")
LABELS = {"tags": ("a", "b"), "many": ("a", "b", "c"), "path": ("B-a", "I-a"), "link": ("tag", "link")}
SIZES = (3, 5)


def pairs_of(units: list[int], joined: np.ndarray, n_categories: int = 0) -> Pairs:
    rng, n = np.random.default_rng(5), len(units)
    marks = rng.random((n, n_marks(n_categories) if n_categories else 0)).astype(np.float32)
    return Pairs(np.array(units, dtype=int), marks, rng.integers(0, 4, (n, n)), joined)


def targets(seed: int = 0):
    rng = np.random.default_rng(seed)
    joined = [rng.random((n, n, 2)) < 0.5 for n in (2, 4)]
    return {
        "tags": [rng.integers(0, 3, n) for n in SIZES], "many": [rng.random((n, 3)) < 0.4 for n in SIZES],
        "path": [np.array([1, 2, 0]), np.array([0, 1, 2, 2, 0])],
        "link": [
            pairs_of([0, 2], joined[0]),
            pairs_of([0, 1, 2, 4], joined[1]),
        ],
    }  # fmt: skip


@pytest.fixture
def heads():
    torch.manual_seed(0)
    return HeadSet([TAGS, MANY, PATH, LINK], 6, LABELS, dropout=0.0)


def test_weights_of_labels_by_the_formulas():
    counts = np.array([90, 9, 1])
    for n in (0, 0.5, 1):
        by_hand = (1 / (1 + counts)) ** n
        assert np.allclose(label_weights(counts, n), by_hand / by_hand.sum())
        assert np.allclose(positive_weights(counts, 100, n), ((100 - counts) / (counts + 1)) ** n)
    assert len(set(label_weights(counts, 0))) == 1  # nothing is balanced


@pytest.mark.parametrize("balance", [0.0, 0.5])
def test_losses_against_a_plain_computation(heads, balance):
    vectors, found = torch.randn(8, 6), targets()
    heads.balance(found, balance)
    losses = heads.loss(vectors, SIZES, found)
    tags, many, link = (heads.heads[name] for name in ("tags", "many", "link"))
    truth = np.concatenate(found["tags"])
    weights = torch.tensor(label_weights(np.bincount(truth, minlength=3), balance), dtype=torch.float32)
    assert losses["tags"].item() == pytest.approx(
        cross_entropy(tags(vectors), torch.tensor(truth), weights).item(), rel=1e-5
    )
    truth = torch.tensor(np.concatenate(found["many"])).float()
    weights = torch.tensor(positive_weights(truth.sum(0).numpy(), 8, balance), dtype=torch.float32)
    expected = binary_cross_entropy_with_logits(many(vectors), truth, pos_weight=weights)
    assert losses["many"].item() == pytest.approx(expected.item(), rel=1e-5)
    one_by_one, positive = [], np.zeros(2)
    for text, (units, _, _, joined) in zip(vectors.split(SIZES), found["link"], strict=True):
        for i in range(len(units)):
            for j in range(i + 1, len(units)):
                pair = torch.cat([text[units[i]], text[units[j]]])
                logit = torch.cat([link.first.weight, link.second.weight], 1) @ pair + link.first.bias
                one_by_one.append((logit, torch.tensor(joined[i, j]).float()))
                positive += joined[i, j]
    weights = torch.tensor(positive_weights(positive, len(one_by_one), balance), dtype=torch.float32)
    logits, truth = (torch.stack(x) for x in zip(*one_by_one, strict=True))
    expected = binary_cross_entropy_with_logits(logits, truth, pos_weight=weights)
    assert losses["link"].item() == pytest.approx(expected.item(), rel=1e-5)
    path = heads.heads["path"]
    by_text = [
        path.crf(path(text)[None], torch.tensor(t)[None], torch.ones(1, len(t)))
        for text, t in zip(vectors.split(SIZES), found["path"], strict=True)
    ]
    assert losses["path"].item() == pytest.approx(sum(by_text).item() / 8, rel=1e-5)
    total = losses["tags"] + 0.5 * losses["many"] + losses["path"] + losses["link"]
    assert heads.total(losses).item() == pytest.approx(total.item(), rel=1e-6)


def test_every_parameter_is_trained_and_every_gradient_is_zeroed(heads):
    optimizer = torch.optim.SGD(heads.parameters(), lr=0.1)
    vectors = torch.randn(8, 6)
    gradients = []
    for _ in range(2):
        optimizer.zero_grad()
        heads.total(heads.loss(vectors, SIZES, targets())).backward()
        gradients.append([p.grad.clone() for p in heads.parameters()])
    assert all(g.abs().sum() > 0 for g in gradients[0])
    assert all(torch.allclose(a, b) for a, b in zip(*gradients, strict=True))  # earlier: they piled up


@pytest.mark.parametrize("hidden", [False, True, 5])
@pytest.mark.parametrize("told", [{}, {"marks": True}, {"marks": True, "text": False}])
def test_pairs_at_once_equal_pairs_one_by_one(hidden, told):
    torch.manual_seed(1)
    spec = HeadSpec(name="l", kind="link", layer="link_only", hidden=hidden, categories=["a", "b"], **told)
    head = LinkHead(spec, 6, ("link",), dropout=0.1).eval()
    vectors, pairs = torch.randn(7, 6), pairs_of(list(range(7)), None, 2)
    found = head.probabilities(vectors, pairs)
    inputs = ([vectors] if spec.text else []) + ([torch.tensor(pairs.marks)] if spec.marks else [])
    inputs, whole = torch.cat(inputs, 1), torch.cat([head.first.weight, head.second.weight], 1)
    assert len(whole) == {False: 1, True: round((2 * inputs.shape[1]) ** 0.5), 5: 5}[hidden]
    for i in range(7):
        for j in range(i + 1, 7):
            logit = whole @ torch.cat([inputs[i], inputs[j]]) + head.first.bias
            if spec.marks:
                logit = logit + head.between.weight[pairs.between[i, j]]
            logit = head.top(logit) if hidden else logit
            assert found[i, j] == pytest.approx(torch.sigmoid(logit).detach().numpy(), abs=1e-6)
            assert np.array_equal(found[i, j], found[j, i])
    assert found[3, 3].tolist() == [0]


def test_texts_without_pairs_cost_nothing(heads):
    nothing = targets() | {
        "link": [
            pairs_of([], np.zeros((0, 0, 2), bool)),
            pairs_of([1], np.ones((1, 1, 2), bool)),
        ]
    }
    losses = heads.loss(torch.randn(8, 6), SIZES, nothing)
    assert losses["link"].item() == 0
    losses["link"].backward()
    assert heads.heads["link"].probabilities(torch.zeros(0, 6), pairs_of([], None)).shape == (0, 0, 2)


def test_answers(heads):
    head: LabelHead = heads.heads["path"]
    logits = torch.tensor([[0.0, 0, 9], [0, 0, 9], [9, 0, 0]])
    assert head.answers(logits).tolist()[0] != 2  # no path begins inside
    assert heads.heads["tags"].answers(torch.tensor([[0.0, 2, 1], [3, 0, 0]])).tolist() == [1, 0]
    assert heads.heads["many"].answers(torch.tensor([[1.0, -1, 2]])).tolist() == [[True, False, True]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "softmax"}, "kind of head tags"),
        ({"scheme": "IOB1"}, "scheme of head tags"),
        ({"kind": "crf"}, "needs a scheme"),
        ({"kind": "link"}, "layer of head tags"),
        ({"kind": "link", "layer": "link_only", "scheme": "BIO"}, "has no scheme"),
        ({"weight": 0.0}, "weight of head tags"),
        ({"marks": True}, "for heads of kind link"),
        ({"categories": ["a"]}, "for heads of kind link"),
        ({"hidden": -3}, "Expected hidden of head tags to be true, false, or 1 unit or more, found -3"),
        ({"name": "a.b"}, "name of a head .* found 'a.b'. Call it 'a_b_head'"),
        ({"name": "type"}, "name of a head .* found 'type'. Call it 'type_head'"),
        ({"name": "mean"}, "name of a head"),
        ({"name": ""}, "name of a head"),
        ({"kind": "link", "layer": "link_only", "text": False}, "nothing to learn from"),
    ],
)
def test_impossible_heads(change, message):
    with pytest.raises(UsageError, match=message):
        HeadSpec(**{"name": "tags", "kind": "single_label", "layer": "category"} | change)
    with pytest.raises(UsageError, match="Two heads"):
        HeadSet([TAGS, TAGS], 6, LABELS)
