"""A run's discriminator as an encoder to use and to give away: small, with a card that says what it is and is not."""

from pathlib import Path
from typing import Any

import pandas as pd

from bioutils.encoders import load_tokenizer
from bioutils.errors import DataError, UsageError, expected
from bioutils.files import atomic_folder, check_folder, open_bytes, read_json, reading, write_json
from bioutils.models import SIDECAR
from bioutils.pages import render
from bioutils.training.electra.run_folder import EARLIER
from bioutils.training.electra.vocabulary import save_tokenizer

CARD = "README.md"
COLUMNS = ("corpus", "metric", "encoder", "trials", "mean", "lowest", "highest")
NOTES = ("settings", "examples", "tokens", "seconds", "scores", "machine")  # which the card tells
FINE_TUNING_DROPOUT = 0.1


def export(
    run: Path, out: Path, *, half: bool = True, generator: bool = False, overwrite: bool = False,
    notes: dict[str, Any] | None = None, scores: Path | None = None,
) -> Path:  # fmt: skip
    """Writes the discriminator of ``run`` to ``out``: weights in float16 where ``half``, tokenizer, notes and card.

    float16 holds a weight to three digits, which moves an encoder's outputs less than the noise of training does; they are
    loaded in float32. The dropout of fine-tuning is BERT's, whatever pre-training had. ``generator``: the other network too, in
    a folder of that name, for lessons. ``notes`` join the run's; ``scores`` is a table of ``benchmarks/downstream.py`` for the
    card. Raises UsageError where there is no finished run, or ``out`` is taken.
    """
    import torch
    from transformers import ElectraForMaskedLM, ElectraForPreTraining
    from transformers.utils import logging as hf_logging

    hf_logging.disable_progress_bar()  # it is done in an instant
    if not (run / "model" / SIDECAR).is_file():
        raise UsageError(f"{run} holds no finished pre-training. Finish it: … pretrain EXAMPLES --out {run} --resume.")
    inputs = [run / "model", run / "generator", *([scores] if scores else [])]
    check_folder(out, inputs, mark=SIDECAR, holds="a model", overwrite=overwrite)
    facts = {"text": "", "licence": "not stated", "command": ""} | read_json(run / "model" / SIDECAR) | (notes or {})
    if missing := [name for name in NOTES if name not in facts]:
        raise DataError(f"Not the notes of a pre-training: no {', '.join(missing)}.", path=run / "model" / SIDECAR)
    facts |= downstream(scores) if scores else {"encoders": [], "downstream": []}
    filled_in = (EARLIER | facts["settings"])["objective"] == "mlm"
    if generator and filled_in:
        raise UsageError(
            f"{run} was trained with objective mlm: its one network is the encoder. Leave out --generator."
        )
    networks = {".": (ElectraForMaskedLM if filled_in else ElectraForPreTraining, "model")}
    if generator:
        networks["generator"] = (ElectraForMaskedLM, "generator")
    with atomic_folder(out) as new:
        for folder, (kind, source) in networks.items():
            model = kind.from_pretrained(run / source, dtype=torch.float32)
            model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = FINE_TUNING_DROPOUT
            model.to(torch.float16 if half else torch.float32).save_pretrained(new / folder)
        save_tokenizer(load_tokenizer(str(run / "model")), new)
        write_json(new / SIDECAR, facts)
        write_card(new, facts, name=out.name)
    return out


def downstream(path: Path) -> dict[str, Any]:
    """The card's table from a CSV: ``corpus, metric, encoder, trials, mean, lowest, highest`` and perhaps ``train``, how many
    examples there were to train on. Raises DataError for another, and for two rows of an encoder that stand in one cell."""
    try:
        with reading(path), open_bytes(path) as stream:
            rows = pd.read_csv(stream)
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise DataError(f"Not a table: {error}.", path=path) from None
    if not set(COLUMNS) <= set(rows):
        raise DataError(expected("columns", str(list(COLUMNS)), list(rows)), path=path, line=1)
    if not len(rows):
        raise DataError("A table without rows.", path=path)
    for name in COLUMNS[3:]:
        if not pd.api.types.is_numeric_dtype(rows[name]):
            raise DataError(expected(f"column {name}", "numbers", list(rows[name])[:3]), path=path)
    rows["train"] = rows["train"].fillna(0) if "train" in rows else 0
    encoders = list(dict.fromkeys(rows["encoder"]))
    table = []
    for (corpus, metric, train), group in rows.groupby(["corpus", "metric", "train"], sort=False):
        task = f"{corpus}, {metric}" + (f", {train:,.0f} to train on" if train else "")
        if twice := [name for name, n in group["encoder"].value_counts().items() if n > 1]:
            told = f"There are two rows of {twice[0]} on {task}, of other settings. Leave the rows that the card is to show."
            raise DataError(told, path=path)
        cells = {
            r.encoder: f"{r.mean:.3f}" + (f" ({r.lowest:.3f} to {r.highest:.3f})" if r.trials > 1 else "")
            for r in group.itertuples()
        }
        table.append({"task": task, "cells": [cells.get(name, "–") for name in encoders]})
    return {"encoders": encoders, "downstream": table}


def write_card(folder: Path, facts: dict[str, Any], *, name: str) -> None:
    """The card, in Markdown, from the notes."""
    facts = facts | {"settings": EARLIER | facts["settings"]}
    weights = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    (folder / CARD).write_text(render("electra.md.j2", megabytes=weights / 1e6, name=name, **facts), encoding="utf-8")
