"""Heads that classify a text: on its one pooled vector, or on the vectors of its tokens.

Those on token vectors are the frozen architectures of the relation experiments that this suite re-makes (BiLSTM and CNN,
alone, in sequence, in parallel), with a mask throughout: padding and neighbours in a batch never change a prediction.
"""

from collections.abc import Callable

import torch
from torch import nn

from bioutils.errors import UsageError, expected
from bioutils.heads.convolution import Convolution, hidden_layer
from bioutils.heads.lstm import BiLSTM
from bioutils.heads.segments import CNN_seg, Entities

LSTM_HIDDEN = 200  # a direction


class Logistic(nn.Module):
    """Multinomial logistic regression on a pooled vector: one linear layer after a norm that evens out the scales."""

    pooled = True

    def __init__(self, width: int, n_labels: int):
        super().__init__()
        self.norm, self.output = nn.LayerNorm(width), nn.Linear(width, n_labels)

    def forward(self, vectors: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (rows, labels) of pooled vectors (rows, width)."""
        return self.output(self.norm(vectors))


class Linear(nn.Module):
    """One linear layer on a pooled vector: what the relation experiments called MLP."""

    pooled = True

    def __init__(self, width: int, n_labels: int, *, dropout: float = 0.0):
        super().__init__()
        self.output = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, n_labels))

    def forward(self, vectors: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (rows, labels) of pooled vectors (rows, width)."""
        return self.output(vectors)


class MLP(nn.Module):
    """One hidden layer on a pooled vector."""

    pooled = True

    def __init__(self, width: int, n_labels: int, *, hidden: int = 256, dropout: float = 0.1):
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, n_labels)
        )

    def forward(self, vectors: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (rows, labels) of pooled vectors (rows, width)."""
        return self.layers(vectors)


class CNN(nn.Module):
    """Convolution on the encoder's vectors, a hidden layer of 64 (``hidden=0``: as wide as the vectors)."""

    pooled = False

    def __init__(self, width: int, n_labels: int, *, filters: int = 3, kernel: int = 3, hidden: int = 64,
                 dropout: float = 0.5, pooling: str = "max"):  # fmt: skip
        super().__init__()
        self.convolution = Convolution(width, filters=filters, kernel=kernel, pooling=pooling)
        self.output = hidden_layer(self.convolution.features, hidden or width, n_labels, dropout)

    def forward(self, vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits (rows, labels)."""
        return self.output(self.convolution(vectors, mask))


class RNN(nn.Module):
    """Two-layer bidirectional LSTM, hidden 200 a direction; its output at the first token, dropout 0.2, linear."""

    pooled = False

    def __init__(self, width: int, n_labels: int, *, hidden: int = LSTM_HIDDEN, dropout: float = 0.5):
        super().__init__()
        self.lstm = BiLSTM(width, hidden, dropout=dropout)
        self.output = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * hidden, n_labels))

    def forward(self, vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits (rows, labels)."""
        return self.output(self.lstm.first(vectors, mask))


class CNN_RNN(nn.Module):
    """LSTM, then a CNN on its outputs; the LSTM's first output beside, a hidden layer of 500."""

    pooled = False

    def __init__(self, width: int, n_labels: int, *, hidden: int = LSTM_HIDDEN, filters: int = 3, kernel: int = 3,
                 pooling: str = "average"):  # fmt: skip
        super().__init__()
        self.lstm = BiLSTM(width, hidden)
        self.convolution = Convolution(2 * hidden, filters=filters, kernel=kernel, pooling=pooling)
        self.beside = nn.Dropout(0.2)
        self.output = hidden_layer(self.convolution.features + 2 * hidden, 500, n_labels, 0.5)

    def forward(self, vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits (rows, labels)."""
        states = self.lstm(vectors, mask)  # (rows, tokens, 400)
        return self.output(torch.cat([self.convolution(states, mask), self.beside(states[:, 0])], -1))


class CNN_RNN_parallel(nn.Module):
    """A CNN on the encoder's vectors and the LSTM's first output side by side, a hidden layer of 500."""

    pooled = False

    def __init__(self, width: int, n_labels: int, *, hidden: int = LSTM_HIDDEN, filters: int = 3, kernel: int = 3,
                 pooling: str = "average"):  # fmt: skip
        super().__init__()
        self.lstm = BiLSTM(width, hidden)
        self.convolution = Convolution(width, filters=filters, kernel=kernel, pooling=pooling)
        self.beside = nn.Dropout(0.2)
        self.output = hidden_layer(self.convolution.features + 2 * hidden, 500, n_labels, 0.5)

    def forward(self, vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits (rows, labels)."""
        first = self.lstm.first(vectors, mask)
        return self.output(torch.cat([self.convolution(vectors, mask), self.beside(first)], -1))


HEADS: dict[str, Callable[..., nn.Module]] = {
    "logistic": Logistic,
    "MLP": MLP,
    "RNN": RNN,
    "CNN": CNN,
    "CNN_RNN": CNN_RNN,
    "CNN_RNN_parallel": CNN_RNN_parallel,
    "linear": Linear,
    "CNN_seg": CNN_seg,
    "entities": Entities,
}


def make_head(name: str, width: int, n_labels: int, *, seed: int = 0, **options) -> nn.Module:
    """The head of that name for vectors of that width. Its first weights depend on ``seed`` alone.

    Raises UsageError for an unknown name or option.
    """
    if name not in HEADS:
        raise UsageError(expected("head", "a known one", name, available=HEADS))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            return HEADS[name](width, n_labels, **options)
        except TypeError as error:
            raise UsageError(f"The head {name!r} does not take these options: {error}.") from None


def n_weights(module: nn.Module) -> int:
    """How many numbers training changes."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
