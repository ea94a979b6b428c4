"""The objective on one sentence, token by token, and the networks of a finished run."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bioutils.errors import UsageError, expected
from bioutils.files import read_json
from bioutils.training.electra.objective import mask_rows, sample

if TYPE_CHECKING:
    import pandas as pd
    from transformers import ElectraForMaskedLM, ElectraForPreTraining, PreTrainedTokenizerBase

CONFIG = "config.json"


def load_networks(folder: Path | str) -> "tuple[ElectraForMaskedLM, ElectraForPreTraining]":
    """Generator and discriminator of a finished run, or of an encoder exported with its generator, in evaluation mode.

    Raises UsageError for a folder without one of the two.
    """
    import torch
    from transformers import ElectraForMaskedLM, ElectraForPreTraining
    from transformers.utils import logging as hf_logging

    hf_logging.disable_progress_bar()
    folder = Path(folder)
    discriminator = folder / "model" if (folder / "model").is_dir() else folder
    for place, kind in ((folder / "generator", "ElectraForMaskedLM"), (discriminator, "ElectraForPreTraining")):
        if not (place / CONFIG).is_file() or kind not in (read_json(place / CONFIG).get("architectures") or []):
            what = "a finished run, or an encoder exported with --generator"
            raise UsageError(expected("the folder", what, str(folder), remedy=f"There is no {kind} in {place}."))
    return (
        ElectraForMaskedLM.from_pretrained(folder / "generator", dtype=torch.float32).eval(),
        ElectraForPreTraining.from_pretrained(discriminator, dtype=torch.float32).eval(),
    )


def one_sentence(
    generator: "ElectraForMaskedLM",
    discriminator: "ElectraForPreTraining",
    tokenizer: "PreTrainedTokenizerBase",
    text: str,
    *,
    mask_share: float = 0.15,
    seed: int = 0,
) -> "pd.DataFrame":
    """What happens to each token of ``text``: a row a token, ``original, read`` (by the generator), ``chosen, filled`` (by it),
    ``replaced`` (filled with something else) and ``probability`` (the discriminator's, that it was replaced)."""
    import pandas as pd
    import torch

    ids = tokenizer(text, return_tensors="np")["input_ids"]
    special = np.array([tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id])
    masked = mask_rows(
        ids, special, mask_id=tokenizer.mask_token_id, mask_share=mask_share, mask_token=0.85, seed=(seed,)
    )
    chosen, draw = torch.from_numpy(masked.chosen[0]), torch.from_numpy(masked.draw[0])
    with torch.no_grad():
        logits = generator(torch.from_numpy(masked.input_ids)).logits[0]
        filled = torch.from_numpy(ids[0]).clone()
        filled[chosen] = sample(logits[chosen], draw[chosen])
        probability = discriminator(filled[None]).logits[0].sigmoid()
    names = tokenizer.convert_ids_to_tokens
    table = pd.DataFrame(
        {
            "original": names(ids[0].tolist()),
            "read": names(masked.input_ids[0].tolist()),
            "chosen": masked.chosen[0],
            "filled": names(filled.tolist()),
            "replaced": (filled.numpy() != ids[0]),
            "probability": probability.numpy().round(3),
        }
    )
    return table[~np.isin(ids[0], special)].reset_index(drop=True)
