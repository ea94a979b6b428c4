"""One vector a text from the vectors of its tokens."""

import torch

from bioutils.errors import UsageError, expected

POOLING = ("cls", "mean", "max", "last_sep")


def pool(vectors: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """(rows, width) from token vectors (rows, tokens, width) and their mask (rows, tokens); padding never counts.

    ``cls``: the first token's; ``mean`` and ``max`` over all tokens, special ones too; ``last_sep``: the last token's,
    which tokenizers of BERT's kind make [SEP]. Raises UsageError for another name.
    """
    if pooling == "cls":
        return vectors[:, 0]
    if pooling == "mean":
        keep = mask.unsqueeze(-1).to(vectors.dtype)
        return (vectors * keep).sum(1) / keep.sum(1).clamp(min=1)
    if pooling == "max":
        return vectors.masked_fill(mask.unsqueeze(-1) == 0, torch.finfo(vectors.dtype).min).amax(1)
    if pooling == "last_sep":
        return vectors[torch.arange(len(vectors), device=vectors.device), mask.sum(1) - 1]
    raise UsageError(expected("pooling", "a known way", pooling, available=POOLING))
