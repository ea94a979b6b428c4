"""A bidirectional LSTM that padding cannot touch, and that trains several times faster on a CPU than torch's own.

torch's LSTM must be told the lengths by packing, which on CPU makes several nodes of the graph a token. Here each direction
reads the words of a text from its own end, so that padding comes after them, and a whole layer is one node: the products
with the inputs and the gradients of the weights are single matrix products over all steps, in bfloat16 under autocast, and
only what must run step by step does. Measured in benchmarks/README.md, tested against torch's.
"""

from typing import Any

import torch
from torch import nn

from bioutils.device import one_thread
from bioutils.heads.dropout import dropout


class Layer(torch.autograd.Function):
    """One layer (Hochreiter & Schmidhuber 1997): inputs (rows·tokens, width) → states (rows·tokens·directions, hidden).

    ``w_in`` (directions·4·hidden, width), ``bias`` (directions·4·hidden,) and ``w_state`` (directions, hidden, 4·hidden) have
    the gates in the order input, forget, output, cell. ``order`` (tokens, directions, rows) says which row of the products
    (rows, tokens, directions) a step reads, ``inverse`` the way back. Start states are zero; the cell is kept in float32.
    """

    @staticmethod
    def forward(ctx: Any, inputs, w_in, bias, w_state, order, inverse) -> torch.Tensor:
        """The hidden states in the order of ``inputs``, forward and backward alternating."""
        tokens, directions, rows = order.shape
        hidden = w_state.shape[1]
        with torch.autocast(inputs.device.type, enabled=False):
            products = torch.addmm(bias, inputs, w_in.mT).view(-1, 4 * hidden)  # (rows·tokens·directions, 4·hidden)
            rows_of_steps = products.index_select(0, order.view(-1)).view(tokens, directions, rows, 4 * hidden)
            # Products in the inputs' type, everything else in float32: a mixed operation would convert at each step.
            gates = torch.empty_like(rows_of_steps, dtype=torch.float32)
            cells = torch.zeros_like(gates[..., :hidden])
            cells = torch.cat([cells[:1], cells])  # the start, then one a step
            tanhs = torch.empty_like(cells[1:])
            states = inputs.new_empty((tokens, directions, rows, hidden))
            i, f, o, g = (gate.unbind(0) for gate in gates.split(hidden, -1))
            steps = zip(
                rows_of_steps.unbind(0), gates.unbind(0), gates[..., : 3 * hidden].unbind(0), i, f, o, g,
                cells[:-1].unbind(0), cells[1:].unbind(0), tanhs.unbind(0), states.unbind(0), strict=True,
            )  # fmt: skip
            state, held = torch.zeros_like(states[0]), torch.empty_like(cells[0])
            with one_thread():
                for product, gate, sigmoids, i_t, f_t, o_t, g_t, before, after, tanh, out in steps:
                    gate.copy_(torch.baddbmm(product, state, w_state, out=product))
                    sigmoids.sigmoid_()
                    g_t.tanh_()
                    torch.mul(before, f_t, out=after)
                    after.addcmul_(i_t, g_t)
                    torch.tanh(after, out=tanh)
                    state = out.copy_(torch.mul(tanh, o_t, out=held))
        ctx.save_for_backward(inputs, w_in, w_state, order, inverse, gates, cells, tanhs, states)
        return states.view(-1, hidden).index_select(0, inverse.view(-1))

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients of inputs and weights. What does not depend on later steps is computed for all steps at once."""
        inputs, w_in, w_state, order, inverse, gates, cells, tanhs, states = ctx.saved_tensors
        tokens, directions, rows, hidden = states.shape
        gradient = gradient.float().index_select(0, order.view(-1)).view(tokens, directions, rows, hidden)
        i, f, o, g = gates.split(hidden, -1)
        # d gate / d cell for the input, the forget and the cell gate, and d gate / d state for the output gate.
        slopes = cells.new_empty((tokens, directions, rows, 4, hidden))
        of_sigmoid, of_tanh = torch.ops.aten.sigmoid_backward.grad_input, torch.ops.aten.tanh_backward.grad_input
        of_sigmoid(g, i, grad_input=slopes[..., 0, :])  # g·i·(1 - i), in one pass
        of_sigmoid(cells[:-1], f, grad_input=slopes[..., 1, :])
        of_sigmoid(tanhs, o, grad_input=slopes[..., 2, :])
        of_tanh(i, g, grad_input=slopes[..., 3, :])  # i·(1 - g²)
        cell_by_state = torch.ops.aten.tanh_backward(o, tanhs)
        d_gates = states.new_empty((tokens, directions, rows, 4, hidden))
        steps = zip(
            gradient.unbind(0), cell_by_state.unbind(0), slopes.unbind(0), slopes[..., 2, :].unbind(0),
            d_gates.unbind(0), d_gates.flatten(3).unbind(0), f.unbind(0), strict=True,
        )  # fmt: skip
        d_cell, d_state, back = torch.zeros_like(cells[0]), torch.zeros_like(cells[0]), w_state.mT.contiguous()
        held = torch.empty_like(slopes[0])
        held_o = held[..., 2, :]
        with one_thread():
            for from_above, by_state, slope, slope_o, d_gate, flat, f_t in reversed(list(steps)):
                d_state += from_above
                d_cell.addcmul_(d_state, by_state)
                torch.mul(d_cell.unsqueeze(-2), slope, out=held)
                torch.mul(d_state, slope_o, out=held_o)
                d_gate.copy_(held)
                d_cell *= f_t
                d_state = torch.bmm(flat, back).float()
        d_gates = d_gates.view(tokens, directions, rows, 4 * hidden)
        before = states[:-1].transpose(0, 1).reshape(directions, -1, hidden)
        after = d_gates[1:].transpose(0, 1).reshape(directions, -1, 4 * hidden)
        d_products = d_gates.view(-1, 4 * hidden).index_select(0, inverse.view(-1)).view(len(inputs), -1)
        d_inputs = d_products @ w_in if ctx.needs_input_grad[0] else None
        return d_inputs, d_products.mT @ inputs, d_products.sum(0), torch.bmm(before.mT, after), None, None


def reversed_texts(mask: torch.Tensor) -> torch.Tensor:
    """Positions (rows, tokens) that read each text from its end; padding, which comes last, stays where it is.

    >>> reversed_texts(torch.tensor([[1, 1, 1, 0]])).tolist()
    [[2, 1, 0, 3]]
    """
    lengths, positions = mask.sum(1, keepdim=True), torch.arange(mask.shape[1], device=mask.device)
    return torch.where(positions < lengths, lengths - 1 - positions, positions)


def step_order(mask: torch.Tensor, *, backward_only: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """For ``Layer``: the row of (rows, tokens, directions) that each step reads, (tokens, directions, rows), and the inverse."""
    rows, tokens = mask.shape
    forth = torch.arange(tokens, device=mask.device).expand(rows, tokens)
    back = reversed_texts(mask)
    positions = back[None] if backward_only else torch.stack([forth, back])  # (directions, rows, tokens)
    starts = torch.arange(rows, device=mask.device)[:, None] * tokens
    order = len(positions) * (starts + positions) + torch.arange(len(positions), device=mask.device)[:, None, None]
    order = order.permute(2, 0, 1).contiguous()  # (tokens, directions, rows)
    inverse = torch.empty_like(order.view(-1))
    inverse[order.view(-1)] = torch.arange(order.numel(), device=mask.device)
    return order, inverse


class BiLSTM(nn.Module):
    """A bidirectional LSTM of several layers over right-padded texts, dropout between them.

    ``forward(vectors (rows, tokens, width), mask (rows, tokens))`` → (rows, tokens, 2·hidden), zero where masked. A layer's
    weights lie as ``Layer`` takes them; ``load_torch`` copies those of an ``nn.LSTM``.
    """

    def __init__(self, width: int, hidden: int, *, layers: int = 2, dropout: float = 0.5):
        super().__init__()
        self.hidden, self.share = hidden, dropout
        widths = [width, *[2 * hidden] * (layers - 1)]
        self.w_in = nn.ParameterList(torch.empty(8 * hidden, w) for w in widths)
        self.w_state = nn.ParameterList(torch.empty(2, hidden, 4 * hidden) for _ in widths)
        self.bias = nn.ParameterList(torch.empty(8 * hidden) for _ in widths)
        for weight in self.parameters():
            nn.init.uniform_(weight, -(hidden**-0.5), hidden**-0.5)  # as torch's

    def forward(self, vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The outputs of the last layer, both directions side by side."""
        return self._run(vectors, mask, len(self.w_in))

    def first(self, vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """``forward(vectors, mask)[:, 0]``, (rows, 2·hidden), without the forward direction of the last layer: at the first
        token it has made one step."""
        rows, tokens = mask.shape
        vectors = self._dropped(self._run(vectors, mask, len(self.w_in) - 1), len(self.w_in) - 1)
        w_in, bias, w_state = (weights[-1].to(vectors.dtype) for weights in (self.w_in, self.bias, self.w_state))
        half = 4 * self.hidden
        i, _, o, g = nn.functional.linear(vectors[:, 0], w_in[:half], bias[:half]).float().chunk(4, -1)
        forth = (o.sigmoid() * (i.sigmoid() * g.tanh()).tanh()).to(vectors.dtype)
        order = step_order(mask, backward_only=True)
        back = Layer.apply(vectors.reshape(rows * tokens, -1), w_in[half:], bias[half:], w_state[1:], *order)
        return torch.cat([forth, back.view(rows, tokens, self.hidden)[:, 0]], -1)

    def _dropped(self, vectors: torch.Tensor, layer: int) -> torch.Tensor:
        return dropout(vectors, self.share) if layer and self.training and self.share else vectors

    def _run(self, vectors: torch.Tensor, mask: torch.Tensor, n_layers: int) -> torch.Tensor:
        """The outputs of the ``n_layers``-th layer, in the type that products are made in."""
        rows, tokens = mask.shape
        device = vectors.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else vectors.dtype
        order, keep, vectors = step_order(mask), mask.unsqueeze(-1).to(dtype), vectors.to(dtype)
        for layer, weights in enumerate(zip(self.w_in, self.bias, self.w_state, strict=True)):
            if layer == n_layers:
                break
            vectors = self._dropped(vectors, layer).reshape(rows * tokens, -1)
            states = Layer.apply(vectors, *(weight.to(dtype) for weight in weights), *order)
            vectors = states.view(rows, tokens, 2 * self.hidden) * keep
        return vectors

    @torch.no_grad()
    def load_torch(self, lstm: nn.LSTM) -> "BiLSTM":
        """Itself, with the weights of torch's bidirectional LSTM of the same sizes. torch keeps the cell gate third."""

        def both(name: str, layer: int) -> list[torch.Tensor]:
            found = []
            for side in ("", "_reverse"):
                i, f, g, o = getattr(lstm, f"{name}_l{layer}{side}").chunk(4)
                found.append(torch.cat([i, f, o, g]))
            return found

        for layer in range(len(self.w_in)):
            self.w_in[layer].copy_(torch.cat(both("weight_ih", layer)))
            self.w_state[layer].copy_(torch.stack(both("weight_hh", layer)).mT)
            self.bias[layer].copy_(torch.cat(both("bias_ih", layer)) + torch.cat(both("bias_hh", layer)))
        return self
