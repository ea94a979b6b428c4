"""A linear-chain conditional random field over the tags of a sentence (Lafferty, McCallum & Pereira 2001)."""

from collections.abc import Sequence

import torch
from torch import nn

from bioutils.corpora.tags import may_follow

FORBIDDEN = -1e4  # a score that no path takes and that float32 and bfloat16 hold


def forbidden_steps(labels: Sequence[str], scheme: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Which tags may not begin a sentence, follow one another, and end one: boolean (tags,), (tags, tags), (tags,)."""
    first = torch.tensor([not may_follow("O", tag, scheme) for tag in labels])
    step = torch.tensor([[not may_follow(tag, after, scheme) for after in labels] for tag in labels])
    last = torch.tensor([not may_follow(tag, "O", scheme) for tag in labels])
    return first, step, last


class CRF(nn.Module):
    """Scores of a first tag, of each step from tag to tag, and of a last one, learned beside the emissions.

    ``forward``: the mean negative log-likelihood of gold paths; ``decode``: the best paths. Padding, on the right, is ignored.
    With ``labels`` and ``scheme``, steps that the scheme forbids are never taken: every decoded path is legal.
    """

    def __init__(self, n_tags: int, *, labels: Sequence[str] = (), scheme: str = "IOB2"):
        super().__init__()
        self.start, self.end = nn.Parameter(torch.zeros(n_tags)), nn.Parameter(torch.zeros(n_tags))
        self.steps = nn.Parameter(torch.zeros(n_tags, n_tags))
        for weight in self.parameters():
            nn.init.uniform_(weight, -0.1, 0.1)
        first, step, last = (
            forbidden_steps(labels, scheme)
            if labels
            else (torch.zeros(n_tags), torch.zeros(n_tags, n_tags), torch.zeros(n_tags))
        )
        self.register_buffer("no_start", first.float() * FORBIDDEN)
        self.register_buffer("no_step", step.float() * FORBIDDEN)
        self.register_buffer("no_end", last.float() * FORBIDDEN)

    def _scores(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.start + self.no_start, self.steps + self.no_step, self.end + self.no_end

    def forward(self, emissions: torch.Tensor, tags: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Mean over sentences of −log p(tags), of emissions (rows, words, tags), gold (rows, words) and mask (rows, words).

        In float32, whatever autocast is on: sums of exponentials over a sentence lose too much in sixteen bits.
        """
        with torch.autocast(emissions.device.type, enabled=False):
            emissions, mask = emissions.float(), mask.bool()
            return (self._partition(emissions, mask) - self._path(emissions, tags, mask)).mean()

    def _path(self, emissions: torch.Tensor, tags: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The score of each gold path, (rows,). Gold that the scheme forbids is scored as it is: repair it before."""
        start, steps, end = self._scores()
        tags = tags.masked_fill(~mask, 0)
        keep = mask.float()
        score = start[tags[:, 0]] + (emissions.gather(2, tags.unsqueeze(2)).squeeze(2) * keep).sum(1)
        score = score + (steps[tags[:, :-1], tags[:, 1:]] * keep[:, 1:]).sum(1)
        last = tags.gather(1, (mask.sum(1, keepdim=True) - 1).clamp(min=0)).squeeze(1)
        return score + end[last]

    def _partition(self, emissions: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The log of the sum over all paths, (rows,), by the forward recursion."""
        start, steps, end = self._scores()
        alpha = start + emissions[:, 0]  # (rows, tags)
        for word in range(1, emissions.shape[1]):
            onward = torch.logsumexp(alpha.unsqueeze(2) + steps, 1) + emissions[:, word]
            alpha = torch.where(mask[:, word, None], onward, alpha)
        return torch.logsumexp(alpha + end, 1)

    def marginals(self, emissions: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The probability of each tag at each word over all paths, (rows, words, tags): the gradient of the log partition."""
        with torch.enable_grad(), torch.autocast(emissions.device.type, enabled=False):
            emissions = emissions.detach().float().requires_grad_()
            return torch.autograd.grad(self._partition(emissions, mask.bool()).sum(), emissions)[0]

    @torch.no_grad()
    def decode(self, emissions: torch.Tensor, mask: torch.Tensor) -> list[list[int]]:
        """The best path of each row, as long as the row (Viterbi 1967)."""
        with torch.autocast(emissions.device.type, enabled=False):
            emissions, mask = emissions.float(), mask.bool()
            start, steps, end = self._scores()
            rows, words, _ = emissions.shape
            score, back = start + emissions[:, 0], []
            for word in range(1, words):
                best, whence = (score.unsqueeze(2) + steps).max(1)  # (rows, tags)
                score = torch.where(mask[:, word, None], best + emissions[:, word], score)
                back.append(whence)
            tags = (score + end).argmax(1)
            path = tags.new_zeros(rows, words)
            lengths, row = mask.sum(1), torch.arange(rows, device=tags.device)
            path[row, (lengths - 1).clamp(min=0)] = tags
            for word in range(words - 1, 0, -1):  # backwards; a row joins in at its own last word
                inside = word < lengths
                tags = torch.where(inside, back[word - 1][row, tags], tags)
                path[:, word - 1] = torch.where(inside, tags, path[:, word - 1])
        return [line[:n] for line, n in zip(path.tolist(), lengths.tolist(), strict=True)]
