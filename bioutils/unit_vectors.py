"""The vectors of texts' units: texts read whole, in windows where they are long, each unit at its first piece."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bioutils.annotation_inputs import Marked
from bioutils.device import autocast, keep_freed_memory
from bioutils.tagging_inputs import TaggingInputs, tagging_inputs

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedTokenizerBase


class UnitVectors:
    """The vectors of texts' units, each at its first piece, by an encoder that reads windows of the texts."""

    def __init__(
        self,
        encoder: "nn.Module",
        tokenizer: "PreTrainedTokenizerBase",
        documents: Sequence[Marked],
        *,
        max_length: int,
    ):
        self.encoder, self.tokenizer = encoder, tokenizer
        self.inputs: TaggingInputs = tagging_inputs([m.units for m in documents], tokenizer, max_length=max_length)
        self.rows = [np.flatnonzero(self.inputs.sentence == i) for i in range(len(documents))]

    def __call__(self, texts: Sequence[int]) -> "torch.Tensor":
        """(units of these texts end to end, width), with gradients where there are any."""
        import torch

        rows = np.concatenate([np.zeros(0, dtype=int), *(self.rows[i] for i in texts)])
        device = next(self.encoder.parameters()).device
        if not len(rows):  # texts without a unit
            return torch.zeros(0, self.encoder.config.hidden_size, device=device)
        ids = [torch.as_tensor(self.inputs.input_ids[row]) for row in rows]
        padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=self.tokenizer.pad_token_id)
        mask = torch.arange(padded.shape[1]) < torch.tensor([len(x) for x in ids])[:, None]
        hidden = self.encoder(input_ids=padded.to(device), attention_mask=mask.long().to(device)).last_hidden_state
        # Windows of a text are in order, and each answers for the words that follow those of the one before.
        places = [torch.as_tensor(self.inputs.places[row]) for row in rows]
        which = torch.cat([torch.full((len(p),), i) for i, p in enumerate(places)])
        return hidden[which.to(device), torch.cat(places).to(device)]

    def all(self, texts: Sequence[int] | None = None) -> "list[torch.Tensor]":
        """Of every text, on the CPU, without gradients; or of these texts alone, the others' being empty."""
        import torch

        keep_freed_memory()
        self.encoder.eval()
        found: list[torch.Tensor] = [torch.empty(0)] * len(self.rows)
        n_tokens = [sum(len(self.inputs.input_ids[row]) for row in rows) for rows in self.rows]
        read = range(len(n_tokens)) if texts is None else texts
        order = sorted(read, key=n_tokens.__getitem__)  # texts of like length together: little padding
        with torch.no_grad(), autocast():
            for start in range(0, len(order), 8):
                batch = order[start : start + 8]
                vectors = self(batch).float().cpu()
                sizes = [sum(len(self.inputs.words[row]) for row in self.rows[i]) for i in batch]
                for i, part in zip(batch, vectors.split(sizes), strict=True):
                    found[i] = part
        return found
