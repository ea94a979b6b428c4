"""Low-rank adapters: fine-tuning that trains a hundredth of the weights, by peft.

Hu et al. 2021, LoRA: Low-Rank Adaptation of Large Language Models, arXiv 2106.09685: to each chosen weight matrix W is added
a product B·A of rank r; W stays as it is, A and B are trained, and B·A can be added into W when training is over.
"""

import warnings
from typing import TYPE_CHECKING

from bioutils.errors import UsageError, expected

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

HEAD_LAYERS = ("classifier", "pooler", "score")  # trained whole: the head is new, and the pooler saw another task


def with_lora(
    model: "PreTrainedModel", *, rank: int = 8, alpha: int = 16, dropout: float = 0.05, seed: int = 0
) -> "PeftModel":
    """The classifier with adapters beside all linear layers of its encoder; they and the head alone are trained.

    ``alpha / rank`` scales the adapters. A's first values depend on ``seed``, B's are zero: so training starts at the
    model as it was. Raises UsageError for a rank below 1.
    """
    import torch
    from peft import LoraConfig, TaskType, get_peft_model

    if rank < 1:
        raise UsageError(expected("rank", "1 or more", rank))
    whole = [name for name in HEAD_LAYERS if any(part.split(".")[-1] == name for part, _ in model.named_modules())]
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules="all-linear",
        exclude_modules=rf".*({'|'.join(HEAD_LAYERS)}).*",
        modules_to_save=whole,
    )
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by a name that is going out of use
        torch.manual_seed(seed)
        return get_peft_model(model, config)
