"""Several heads on one encoder: labels on units, one or many each, and links between units, under one loss.

Heads work on the vectors of a batch's units laid end to end, (units, width), so nothing is padded and no loss counts padding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torch.nn.utils.rnn import pad_sequence

from bioutils.annotation_inputs import SCHEMES
from bioutils.errors import UsageError, expected
from bioutils.heads.crf import CRF
from bioutils.pair_inputs import BETWEEN, CONSTRUCTIONS, Pairs, n_marks, pairs_of

KINDS = {
    "single_label": "one label a unit or none: softmax and cross-entropy",
    "multi_label": "any number of labels a unit: sigmoids",
    "crf": "one label a unit, the best path through the text (scheme BIO or BIOES)",
    "link": "pairs of marked units: sigmoids",
}


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """What a head learns and how. ``layer``: see ``annotation_inputs``; of a link head its construction. Raises UsageError."""

    name: str
    kind: str
    layer: str
    scheme: str = "none"
    hidden: bool | int = False  # a hidden layer between, of √(in · out) units or of as many as a number says
    weight: float = 1.0  # of its loss in the sum
    marks: bool = False  # a link head is told what is marked around each unit, and what lies between two
    text: bool = True  # False: a link head that is told nothing but the marks
    categories: tuple[str, ...] = ()  # of these marks; read from the documents where empty

    def __post_init__(self):
        if not self.name or "." in self.name or self.name == "mean" or hasattr(nn.ModuleDict(), self.name):
            what = "a word without a dot, neither mean (a row of the tables) nor what torch's modules call something of theirs"
            raise UsageError(expected("name of a head", what, self.name, remedy=f"Call it {_other_name(self.name)!r}."))
        if self.hidden < 0:
            raise UsageError(expected(f"hidden of head {self.name}", "true, false, or 1 unit or more", self.hidden))
        if self.kind not in KINDS:
            raise UsageError(expected(f"kind of head {self.name}", "a known one", self.kind, available=KINDS))
        if self.scheme not in SCHEMES:
            raise UsageError(expected(f"scheme of head {self.name}", "a known one", self.scheme, available=SCHEMES))
        if self.kind == "link" and self.layer not in CONSTRUCTIONS:
            raise UsageError(
                expected(f"layer of head {self.name}", "a construction", self.layer, available=CONSTRUCTIONS)
            )
        if self.kind == "link" and self.scheme != "none":
            raise UsageError(f"The head {self.name} joins units: it has no scheme. Leave it out.")
        if self.kind == "crf" and self.scheme == "none":
            raise UsageError(f"The head {self.name} is a CRF, which needs a scheme: BIO or BIOES.")
        if self.kind != "link" and (self.marks or not self.text or self.categories):
            raise UsageError(
                f"The head {self.name} joins no units: marks, text and categories are for heads of kind link. Leave them out."
            )
        if not (self.marks or self.text):
            raise UsageError(f"The head {self.name} is told neither text nor marks: there is nothing to learn from.")
        object.__setattr__(self, "categories", tuple(self.categories))  # a list, where it was read from a file
        if not self.weight > 0:
            raise UsageError(expected(f"weight of head {self.name}", "above 0", self.weight))


def _other_name(name: str) -> str:
    return f"{name.replace('.', '_')}_head"


def label_weights(counts: Sequence[int], balance: float) -> np.ndarray:
    """The weight of each label in a cross-entropy: (1 / (1 + count))^balance, scaled to a sum of 1; 0 balances nothing.

    >>> label_weights([1, 3], 1.0).round(3).tolist()
    [0.667, 0.333]
    """
    weights = (1 / (1 + np.asarray(counts, dtype=float))) ** balance
    return weights / weights.sum()


def positive_weights(positive: Sequence[int], total: int, balance: float) -> np.ndarray:
    """The weight of a label's positive cases beside its negative ones: ((total − positive) / (positive + 1))^balance.

    >>> positive_weights([1, 5], 9, 1.0).round(3).tolist()
    [4.0, 0.667]
    """
    positive = np.asarray(positive, dtype=float)
    return ((total - positive) / (positive + 1)) ** balance


def n_hidden(width: int, n_outputs: int, hidden: bool | int) -> int:
    """Units of a hidden layer: √(in · out), or as many as a number says.

    >>> n_hidden(8, 2, True), n_hidden(8, 2, 64)
    (4, 64)
    """
    return max(1, round((width * n_outputs) ** 0.5)) if hidden is True else int(hidden)


def network(width: int, n_outputs: int, *, hidden: bool | int, dropout: float) -> nn.Module:
    """A linear layer, or two with hidden units between, ReLU and dropout."""
    if not hidden:
        return nn.Linear(width, n_outputs)
    middle = n_hidden(width, n_outputs, hidden)
    return nn.Sequential(nn.Linear(width, middle), nn.ReLU(), nn.Dropout(dropout), nn.Linear(middle, n_outputs))


class LabelHead(nn.Module):
    """Logits (units, outputs) of units' vectors (units, width), and the loss of the kind."""

    def __init__(self, spec: HeadSpec, width: int, labels: Sequence[str], *, dropout: float = 0.1):
        super().__init__()
        self.spec, self.labels = (
            spec,
            tuple(labels),
        )  # tags; without "O", which every head but multi_label has as number 0
        n_outputs = len(labels) + (spec.kind != "multi_label")
        self.net = network(width, n_outputs, hidden=spec.hidden, dropout=dropout)
        self.crf = CRF(n_outputs, labels=["O", *labels], scheme=SCHEMES[spec.scheme]) if spec.kind == "crf" else None
        self.register_buffer("weights", torch.ones(n_outputs))

    def balance(self, targets: Sequence[np.ndarray], balance: float) -> None:
        """Sets the weights of the labels by how often they stand in the training targets."""
        if self.spec.kind == "multi_label":
            found = positive_weights(sum(t.sum(0) for t in targets), sum(map(len, targets)), balance)
        else:
            counts = np.bincount(np.concatenate(targets), minlength=len(self.weights))
            found = label_weights(counts, balance) * len(counts)
        self.weights = torch.as_tensor(found, dtype=torch.float32, device=self.weights.device)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Logits in float32."""
        return self.net(vectors).float()

    def loss(self, logits: torch.Tensor, target: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
        """Mean over units (nats): of the label, or of all labels' sigmoids; of a CRF, of the gold path of each text."""
        if self.spec.kind == "multi_label":
            return binary_cross_entropy_with_logits(logits, target.float(), pos_weight=self.weights)
        if self.crf is None:
            return cross_entropy(logits, target, weight=self.weights)
        rows = [pad_sequence(x.split(list(sizes)), batch_first=True) for x in (logits, target)]
        mask = (
            torch.arange(rows[0].shape[1], device=logits.device) < torch.as_tensor(sizes, device=logits.device)[:, None]
        )
        return self.crf(*rows, mask) * len(sizes) / len(target)

    @torch.no_grad()
    def answers(self, logits: torch.Tensor) -> np.ndarray:
        """One text's labels: (units,), 0 for none; of a multi-label head (units, labels), those of a probability over ½."""
        if self.spec.kind == "multi_label":
            return (logits > 0).cpu().numpy()
        if self.crf is None:
            return logits.argmax(1).cpu().numpy()
        mask = torch.ones(1, len(logits), dtype=torch.bool, device=logits.device)
        return np.array(self.crf.decode(logits[None], mask)[0])


class LinkHead(nn.Module):
    """A logit for every pair of units and each label, by one layer over the two vectors laid end to end.

    The layer's product splits into one for the first and one for the second of a pair, so that n vectors take 2 n products and
    the n² pairs a sum: W·[a; b] = W₁·a + W₂·b. Where it is told the marks, a vector for what lies between the two is added.
    """

    def __init__(self, spec: HeadSpec, width: int, labels: Sequence[str], *, dropout: float = 0.1):
        super().__init__()
        self.spec, self.labels = spec, tuple(labels)
        width = width * spec.text + n_marks(len(spec.categories)) * spec.marks
        outputs = n_hidden(2 * width, len(labels), spec.hidden) if spec.hidden else len(labels)
        self.first, self.second = nn.Linear(width, outputs), nn.Linear(width, outputs, bias=False)
        self.between = nn.Embedding(len(BETWEEN), outputs) if spec.marks else None
        self.top = (
            nn.Sequential(nn.ReLU(), nn.Dropout(dropout), nn.Linear(outputs, len(labels))) if spec.hidden else None
        )
        self.register_buffer("weights", torch.ones(len(labels)))

    def balance(self, targets: Sequence[Pairs], balance: float) -> None:
        """Sets the weight of joined pairs by how often they stand in the training targets."""
        pairs = [pairs_of(t.joined) for t in targets]
        found = positive_weights(sum(p.sum(0) for p in pairs), sum(map(len, pairs)), balance)
        self.weights = torch.as_tensor(found, dtype=torch.float32, device=self.weights.device)

    def forward(self, vectors: torch.Tensor, pairs: Pairs) -> torch.Tensor:
        """Logits (n · (n − 1) / 2, labels) of the pairs of n units' vectors (n, width), each once, in float32."""
        told = vectors if self.spec.text else vectors[:, :0]
        if self.between is not None:
            told = torch.cat([told, torch.as_tensor(pairs.marks, device=vectors.device)], 1)
        i, j = torch.triu_indices(len(told), len(told), 1, device=vectors.device)
        found = self.first(told).index_select(0, i) + self.second(told).index_select(0, j)
        if self.between is not None:
            found = found + self.between(torch.as_tensor(pairs.between, device=vectors.device)[i, j])
        return (found if self.top is None else self.top(found)).float()

    def loss(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Mean over pairs (nats) of logits and of which are joined, both (pairs, labels), one pair or more."""
        return binary_cross_entropy_with_logits(logits, target.float(), pos_weight=self.weights)

    @torch.no_grad()
    def probabilities(self, vectors: torch.Tensor, pairs: Pairs) -> np.ndarray:
        """(n, n, labels), the same for both orders of a pair."""
        n = len(vectors)
        i, j = np.triu_indices(n, 1)
        found = np.zeros((n, n, len(self.labels)), dtype=np.float32)
        found[i, j] = found[j, i] = torch.sigmoid(self(vectors, pairs)).cpu().numpy()
        return found


class HeadSet(nn.Module):
    """Heads by name over the same vectors; their parameters are this module's, so that every gradient is zeroed and clipped."""

    def __init__(
        self, specs: Sequence[HeadSpec], width: int, labels: Mapping[str, Sequence[str]], *, dropout: float = 0.1
    ):
        super().__init__()
        if twice := [s.name for s in specs if [x.name for x in specs].count(s.name) > 1]:
            raise UsageError(f"Two heads are called {twice[0]!r}. Give them names of their own.")
        self.width, self.dropout = width, nn.Dropout(dropout)
        self.heads = nn.ModuleDict({
            spec.name: (LinkHead if spec.kind == "link" else LabelHead)(spec, width, labels[spec.name], dropout=dropout)
            for spec in specs
        })  # fmt: skip

    def loss(
        self, vectors: torch.Tensor, sizes: Sequence[int], targets: Mapping[str, Sequence[Any]]
    ) -> dict[str, torch.Tensor]:
        """The loss of each head (nats, unweighted) on the units of some texts: vectors (units, width), sizes a text.

        ``targets``: head → a text's target each; of a link head its ``Pairs``.
        """
        vectors = self.dropout(vectors)
        texts = vectors.split(list(sizes))
        found = {}
        for name, head in self.heads.items():
            if isinstance(head, LabelHead):
                target = torch.as_tensor(np.concatenate(targets[name]), device=vectors.device)
                found[name] = head.loss(head(vectors), target, sizes)
                continue
            sums, n_pairs = [], 0
            for text, pairs in zip(texts, targets[name], strict=True):
                n = len(pairs.units) * (len(pairs.units) - 1) // 2
                if n:
                    logits = head(text[torch.as_tensor(pairs.units)], pairs)
                    sums.append(n * head.loss(logits, torch.as_tensor(pairs_of(pairs.joined), device=text.device)))
                    n_pairs += n
            found[name] = sum(sums) / n_pairs if n_pairs else sum(p.sum() for p in head.parameters()) * 0
        return found

    def total(self, losses: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The sum of the heads' losses by their weights."""
        return sum(self.heads[name].spec.weight * loss for name, loss in losses.items())

    def balance(self, targets: Mapping[str, Sequence[Any]], balance: float) -> None:
        """Sets every head's weights of labels; ``balance`` from 0 (none) to 1 (full)."""
        for name, head in self.heads.items():
            head.balance(targets[name], balance)

    def facts(self) -> dict[str, Any]:
        """What a folder must say to build the same set again."""
        return {
            "width": self.width, "dropout": self.dropout.p,
            "heads": [asdict(head.spec) | {"labels": list(head.labels)} for head in self.heads.values()],
        }  # fmt: skip
