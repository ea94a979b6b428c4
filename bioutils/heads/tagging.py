"""Token classifiers with a conditional random field on top, in the form of transformers' own."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn

from bioutils.heads.crf import CRF

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NO_LABEL = -100  # of tokens that are not to be labelled, as transformers has it


def labelled(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The labelled tokens of each row moved to its left: logits (rows, most, tags), labels and mask (rows, most)."""
    keep = labels != NO_LABEL
    order = torch.argsort((~keep).long(), dim=1, stable=True)[:, : max(1, int(keep.sum(1).max()))]
    gathered = logits.gather(1, order.unsqueeze(-1).expand(-1, -1, logits.shape[-1]))
    return gathered, labels.gather(1, order), keep.gather(1, order)


class TaggerWithCRF(nn.Module):
    """A token classifier whose loss is that of a linear-chain CRF over its logits at labelled tokens.

    The logits alone are a softmax tagger's, so the classifier can be used without the CRF, less well.
    """

    # The CRF's few scores start at nothing and must grow to about ±5 in the steps that an encoder takes to move a little.
    rates: ClassVar[dict[str, float]] = {"crf.": 50.0}

    def __init__(self, tagger: "PreTrainedModel", labels: Sequence[str], scheme: str):
        super().__init__()
        self.tagger, self.crf, self.config = tagger, CRF(len(labels), labels=labels, scheme=scheme), tagger.config

    def forward(self, **inputs: torch.Tensor):
        """``.logits`` (rows, tokens, tags)."""
        return self.tagger(**inputs)

    def summed_loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """−log p of the gold paths (nats), summed over rows that have a label."""
        logits, labels, mask = labelled(logits, labels)
        some = mask[:, 0]
        return self.crf(logits[some], labels[some], mask[some]) * some.sum()
