"""A run's discriminator as an encoder to use and to give away: small, with a card that says what it is and is not."""

from pathlib import Path
from typing import Any

from bioutils.encoders import load_tokenizer
from bioutils.errors import UsageError
from bioutils.files import atomic_folder, check_folder, read_json, write_json
from bioutils.models import SIDECAR
from bioutils.pages import render
from bioutils.training.electra.vocabulary import save_tokenizer

CARD = "README.md"


def export(
    run: Path, out: Path, *, half: bool = True, overwrite: bool = False, notes: dict[str, Any] | None = None
) -> Path:
    """Writes the discriminator of ``run`` to ``out``: weights in float16 where ``half``, tokenizer, notes and card.

    float16 holds a weight to three digits, which moves an encoder's outputs less than the noise of training does; they are
    loaded in float32. ``notes`` join the run's. Raises UsageError where there is no finished run, or ``out`` is taken.
    """
    import torch
    from transformers import ElectraForPreTraining
    from transformers.utils import logging as hf_logging

    hf_logging.disable_progress_bar()  # it is done in an instant
    folder = run / "model"
    if not (folder / SIDECAR).is_file():
        raise UsageError(f"{run} holds no finished pre-training. Finish it: … pretrain EXAMPLES --out {run} --resume.")
    check_folder(out, [run], mark=SIDECAR, holds="a model", overwrite=overwrite)
    facts = {"text": "", "licence": "", "command": "", "downstream": []} | read_json(folder / SIDECAR) | (notes or {})
    model = ElectraForPreTraining.from_pretrained(folder, dtype=torch.float32)
    with atomic_folder(out) as new:
        model.to(torch.float16 if half else torch.float32).save_pretrained(new)
        save_tokenizer(load_tokenizer(str(folder)), new)
        write_json(new / SIDECAR, facts)
        write_card(new, facts)
    return out


def write_card(folder: Path, facts: dict[str, Any]) -> None:
    """The card, in Markdown, from the notes."""
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    (folder / CARD).write_text(
        render("electra.md.j2", megabytes=weights / 1e6, name=folder.name, **facts), encoding="utf-8"
    )
