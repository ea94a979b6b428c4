"""A bidirectional LSTM that padding cannot touch, and that trains several times faster on a CPU than torch's own.

torch's LSTM must be told the lengths by packing, which on CPU runs a step of autograd a token. Here each direction reads
the words of a text from its own end, so that padding comes after them, and the recurrence is one node of the graph: its
gradient for the weights is one matrix product over all steps, in bfloat16 under autocast. See benchmarks/README.md.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it torch's CPU kernels use one thread: a step's tensors are so small that waking a second costs more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Recurrence(torch.autograd.Function):
    """``h`` (steps, directions, rows, hidden) of an LSTM whose input products are known (Hochreiter & Schmidhuber 1997).

    ``inputs``: (steps, directions, rows, 4·hidden), the gates in the order input, forget, cell, output;
    ``weights``: (directions, hidden, 4·hidden). Both start states are zero. The cell is kept in float32.
    """

    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """The hidden states, in the type of ``inputs``."""
        steps, directions, rows, four = inputs.shape
        hidden = four // 4
        gates = torch.empty_like(inputs)  # activated
        cells = inputs.new_empty((steps + 1, directions, rows, hidden), dtype=torch.float32)
        tanhs = torch.empty_like(cells[1:])
        states = inputs.new_empty((steps, directions, rows, hidden))
        cells[0] = 0
        state = inputs.new_zeros((directions, rows, hidden))
        with one_thread():
            for t in range(steps):
                gate = gates[t]
                torch.baddbmm(inputs[t], state, weights, out=gate)
                i, f, g, o = gate.split(hidden, -1)
                gate[..., : 2 * hidden].sigmoid_()
                g.tanh_()
                o.sigmoid_()
                torch.mul(cells[t], f, out=cells[t + 1])
                cells[t + 1].addcmul_(i, g)
                torch.tanh(cells[t + 1], out=tanhs[t])
                torch.mul(tanhs[t], o, out=states[t])
                state = states[t]
        ctx.save_for_backward(gates, cells, tanhs, states, weights)
        return states

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Gradients of ``inputs`` and ``weights``. What does not depend on later steps is computed for all at once."""
        gates, cells, tanhs, states, weights = ctx.saved_tensors
        steps, directions, rows, hidden = states.shape
        i, f, g, o = gates.split(hidden, -1)
        # d gate / d cell for the input, forget and cell gate, side by side: (steps, directions, rows, 3, hidden)
        by_cell = cells.new_empty((steps, directions, rows, 3, hidden))
        torch.mul(i - i * i, g, out=by_cell[..., 0, :])
        torch.mul(f - f * f, cells[:-1], out=by_cell[..., 1, :])
        torch.mul(1 - g * g, i, out=by_cell[..., 2, :])
        by_state = tanhs * (o - o * o)
        cell_by_state = o * (1 - tanhs * tanhs)
        d_gates = states.new_empty((steps, directions, rows, 4, hidden))
        d_cell = torch.zeros_like(cells[0])
        d_state = torch.zeros_like(cells[0])
        back = weights.mT.contiguous()
        with one_thread():
            for t in range(steps - 1, -1, -1):
                d_state += gradient[t]
                d_cell.addcmul_(d_state, cell_by_state[t])
                torch.mul(d_cell.unsqueeze(-2), by_cell[t], out=d_gates[t, :, :, :3])
                torch.mul(d_state, by_state[t], out=d_gates[t, :, :, 3])
                d_cell *= f[t]
                d_state = torch.bmm(d_gates[t].view(directions, rows, 4 * hidden), back).float()
        d_gates = d_gates.view(steps, directions, rows, 4 * hidden)
        before = states[:-1].transpose(0, 1).reshape(directions, -1, hidden)
        after = d_gates[1:].transpose(0, 1).reshape(directions, -1, 4 * hidden)
        return d_gates, torch.bmm(before.mT, after)


def reversed_texts(mask: torch.Tensor) -> torch.Tensor:
    """Positions (rows, tokens) that read each text from its end; padding, which comes last, stays where it is.

    >>> reversed_texts(torch.tensor([[1, 1, 1, 0]])).tolist()
    [[2, 1, 0, 3]]
    """
    lengths, positions = mask.sum(1, keepdim=True), torch.arange(mask.shape[1], device=mask.device)
    return torch.where(positions < lengths, lengths - 1 - positions, positions)


class BiLSTM(nn.LSTM):
    """torch's ``nn.LSTM`` (its weights, names and first values), bidirectional, over right-padded texts.

    ``forward(vectors (rows, tokens, width), mask (rows, tokens))`` → (rows, tokens, 2·hidden), zero where masked.
    """

    def __init__(self, width: int, hidden: int, *, layers: int = 2, dropout: float = 0.5):
        super().__init__(width, hidden, layers, batch_first=True, bidirectional=True, dropout=dropout)

    def forward(self, vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """The outputs of the last layer, both directions side by side."""
        back = reversed_texts(mask).unsqueeze(-1)
        keep = mask.unsqueeze(-1).to(vectors.dtype)
        for layer in range(self.num_layers):
            if layer:
                vectors = nn.functional.dropout(vectors, self.dropout, self.training)
            vectors = self._layer(layer, vectors, back) * keep
        return vectors

    def _layer(self, layer: int, vectors: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
        sides = [f"_l{layer}", f"_l{layer}_reverse"]
        weights = torch.stack([getattr(self, f"weight_ih{side}").mT for side in sides])  # (2, width, 4·hidden)
        recurrent = torch.stack([getattr(self, f"weight_hh{side}").mT for side in sides])  # (2, hidden, 4·hidden)
        bias = torch.stack([getattr(self, f"bias_ih{side}") + getattr(self, f"bias_hh{side}") for side in sides])
        rows, tokens, width = vectors.shape
        both = torch.stack([vectors, vectors.gather(1, back.expand_as(vectors))])  # (2, rows, tokens, width)
        both = both.transpose(1, 2).reshape(2, tokens * rows, width)
        inputs = torch.baddbmm(bias.unsqueeze(1).to(both.dtype), both, weights)  # (2, tokens·rows, 4·hidden)
        inputs = inputs.view(2, tokens, rows, -1).transpose(0, 1).contiguous()  # (tokens, 2, rows, 4·hidden)
        states = Recurrence.apply(inputs, recurrent.to(inputs.dtype)).permute(1, 2, 0, 3)  # (2, rows, tokens, hidden)
        forth, reverse = states[0], states[1]
        return torch.cat([forth, reverse.gather(1, back.expand_as(reverse))], -1)
