"""The pre-training loop: rows, masks and schedule follow from the step's number alone, so it goes on as if never stopped."""

import math
import platform
import shutil
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bioutils.device import autocast, keep_freed_memory
from bioutils.errors import BioutilsError, UsageError, expected
from bioutils.training.checkpoints import load_checkpoint, random_state, save_checkpoint
from bioutils.training.electra.objective import Electra, Masked, Step
from bioutils.training.electra.rows import Masker, on_device, rows_of_step
from bioutils.training.electra.run_folder import Pretraining, RunFolder, history_table
from bioutils.training.electra.settings import ElectraSettings
from bioutils.training.electra.shards import Examples
from bioutils.training.electra.start import set_start
from bioutils.training.electra.validation import evaluate
from bioutils.training.loop import MAX_NORM
from bioutils.training.optimizers import make_optimizer
from bioutils.training.results import save_whole

if TYPE_CHECKING:
    import torch


def training_step(
    model: "torch.nn.Module", masked: Masked, optimizer: "torch.optim.Optimizer", scheduler: Any, *, accelerator: Any,
    warm: bool = False,
) -> dict[str, float]:  # fmt: skip
    """One step of the optimiser on ``masked``, of which each process takes its part; returns the mean losses (nats).

    The means run over the whole batch, of all processes and micro-batches, so that two processes do what one does with twice
    the rows.
    """
    import torch

    electra = accelerator.unwrap_model(model)
    settings: ElectraSettings = electra.settings
    n_chosen, n_real = int(masked.chosen.sum()), int((masked.original != electra.pad).sum())
    world, rank = accelerator.num_processes, accelerator.process_index
    size = len(masked.original) // (world * settings.accumulation)
    optimizer.zero_grad()
    losses = torch.zeros(2, device=accelerator.device)
    for part in range(settings.accumulation):
        start = (rank * settings.accumulation + part) * size
        last = part == settings.accumulation - 1
        with nullcontext() if last else accelerator.no_sync(model):
            with autocast(settings.bf16):
                step: Step = model(**on_device(masked, slice(start, start + size), accelerator.device), warm=warm)
            # Processes' gradients are averaged: times their number, this is the sum.
            accelerator.backward(electra.loss(step, n_chosen, n_real) * world)
        second = step.filling_loss / n_chosen if warm else step.detection_loss / n_real
        losses += torch.stack([step.generator_loss.detach() / n_chosen, second.detach()])
    torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
    optimizer.step()
    scheduler.step()
    losses = accelerator.reduce(losses, reduction="sum").tolist()
    if electra.discriminator is None:
        return {"generator_loss": losses[0]}
    return {"generator_loss": losses[0], "filling_loss" if warm else "detection_loss": losses[1]}


def pretrain(
    examples: Examples, out: Path | str, *, settings: ElectraSettings, evaluate_every: int = 500, resume: bool = False,
    overwrite: bool = False, progress: bool = True, facts: dict[str, Any] | None = None,
) -> Pretraining:  # fmt: skip
    """Trains for ``settings.steps`` steps; saves the discriminator to ``out/model`` and the generator to ``out/generator``.
    (With objective mlm the one network to ``out/model``.)

    Every ``evaluate_every`` steps: scores on held-back text, a line in ``out/pretrain.jsonl``, a checkpoint. ``resume=True``
    goes on from the last one, on a CPU bit for bit, and returns a finished run's result as it is; ``overwrite=True`` replaces
    an earlier run, whose networks stay until the new ones are there. ``facts`` go into the model's notes. Under ``accelerate
    launch`` each process takes its part of every batch. Raises UsageError for an ``out`` that is taken, for a checkpoint of other
    settings, rows or vocabulary or none, and for rows that do not fit.
    """
    import torch
    from accelerate import Accelerator, DistributedDataParallelKwargs
    from tqdm import tqdm
    from transformers import get_linear_schedule_with_warmup

    keep_freed_memory()
    if evaluate_every < 1:
        raise UsageError(expected("evaluate_every", "1 step or more", evaluate_every))
    folder = RunFolder(out)
    folder.check(resume=resume, overwrite=overwrite)
    # In a warm start the detecting layers have no gradient, later the filling ones.
    unused = DistributedDataParallelKwargs(find_unused_parameters=settings.warm_start > 0)
    accelerator = Accelerator(kwargs_handlers=[unused])
    share = accelerator.num_processes * settings.accumulation
    if settings.batch_size % share:
        raise UsageError(
            expected("batch_size", f"a multiple of processes × accumulation ({share})", settings.batch_size)
        )
    length, n_rows = examples.facts["length"], examples.facts["train_rows"]
    if length > settings.positions:
        raise UsageError(expected("rows' length", f"at most the {settings.positions} positions", length))
    wanted = {
        "settings": asdict(settings),
        "vocabulary": examples.facts["vocabulary"],
        "rows": n_rows,
        "length": length,
    }
    last = folder.last if resume else None
    if resume and not last:
        found = folder.finished(wanted)
        return found if accelerator.is_main_process else replace(found, history=history_table([]))
    accelerator.wait_for_everyone()  # all have looked at the folder before one of them changes it
    tokenizer, masker = examples.tokenizer(), Masker(examples, settings)
    electra = Electra(settings, tokenizer)
    if settings.start == "counts":
        set_start(electra, examples)
    electra = electra.to(accelerator.device)
    optimizer = make_optimizer(electra, settings, epsilon=settings.epsilon)
    scheduler = get_linear_schedule_with_warmup(optimizer, int(settings.warmup * settings.steps), settings.steps)
    done: dict[str, Any] = {"step": 0, "history": [], "seconds": 0.0}
    torch.manual_seed(settings.seed + accelerator.process_index)  # dropout
    if last:
        done = load_checkpoint(
            last, electra, optimizer, scheduler, wanted, holds=list(done), process=accelerator.process_index
        )
        if accelerator.is_main_process:
            folder.write_history(done["history"])  # the disk may have been full right after the checkpoint
    elif accelerator.is_main_process:
        folder.begin(wanted)
    model = accelerator.prepare_model(electra)

    history, before, started = done["history"], done["seconds"], time.perf_counter()
    window: list[dict[str, float]] = []
    quiet = None if progress and accelerator.is_main_process else True
    with tqdm(total=settings.steps, initial=done["step"], unit=" steps", disable=quiet) as bar:
        for step in range(done["step"], settings.steps):
            electra.train()
            rows = rows_of_step(step, n_rows=n_rows, batch_size=settings.batch_size, seed=settings.seed)
            piece = settings.piece(step)
            masked, warm = masker("train", rows, (settings.seed, step), piece=piece), piece > 0
            rate = max(scheduler.get_last_lr())
            window.append(training_step(model, masked, optimizer, scheduler, accelerator=accelerator, warm=warm))
            check_finite(window[-1], f"in step {step + 1}", rate)
            bar.set_postfix({k: f"{v:.3f}" for k, v in window[-1].items()}, refresh=False)
            bar.update()
            if (step + 1) % evaluate_every and step + 1 < settings.steps:
                continue
            means = {
                f"train_{name}": float(np.mean([w[name] for w in window if name in w]))
                for name in ("generator_loss", "filling_loss", "detection_loss") if any(name in w for w in window)
            }  # fmt: skip
            window = []
            random = gathered(random_state(), accelerator)  # each process drops out other values
            if accelerator.is_main_process:
                seconds = before + time.perf_counter() - started
                scores = evaluate(electra, masker)
                check_finite(scores, f"on held-back text after step {step + 1}", rate)
                tokens = (step + 1) * settings.batch_size * length
                history.append({"step": step + 1, "tokens": tokens, "seconds": round(seconds, 1), **means, **scores})
                done = {"identity": wanted, "step": step + 1, "history": history, "seconds": seconds}
                save_checkpoint(folder.checkpoints / "last", electra, optimizer, scheduler, done, random=random)
                folder.write_history(history)
            accelerator.wait_for_everyone()
    generator = folder.generator if settings.objective == "electra" else None
    result = Pretraining(
        folder.model, generator, history_table(history), settings.steps * settings.batch_size * length,
        before + time.perf_counter() - started,
    )  # fmt: skip
    if accelerator.is_main_process:
        notes = {
            "settings": asdict(settings), "examples": examples.facts, "tokens": result.tokens,
            "seconds": round(result.seconds, 1), "scores": history[-1], "machine": machine(accelerator), **(facts or {}),
        }  # fmt: skip
        save_networks(result, electra, tokenizer, notes)
        if result.generator_dir is None:
            shutil.rmtree(folder.generator, ignore_errors=True)  # of a run that this one replaces
        shutil.rmtree(folder.checkpoints, ignore_errors=True)
    accelerator.wait_for_everyone()
    return result


def check_finite(scores: dict[str, float | None], when: str, rate: float) -> None:
    """Raises BioutilsError for a loss that is no number: nothing that follows would be one, and no weight is worth keeping."""
    if wrong := [f"{name} {value}" for name, value in scores.items() if value is not None and not math.isfinite(value)]:
        raise BioutilsError(
            f"The loss is not finite {when}, at a learning rate of {rate:.3g}: {', '.join(wrong)}. "
            "Take a lower --learning-rate, a larger --epsilon or --precision fp32; what was saved before stays."
        )


def gathered(state: "dict[str, torch.Tensor]", accelerator: Any) -> "dict[str, torch.Tensor]":
    """The processes' states (processes, bytes); of a single one, its own as it is."""
    if accelerator.num_processes == 1:
        return state
    return {name: accelerator.gather(value[None].to(accelerator.device)).cpu() for name, value in state.items()}


def machine(accelerator: Any) -> str:
    """Processes, devices and threads, for the card."""
    import torch

    device = accelerator.device
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()} CPU"
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    return f"{accelerator.num_processes} × {kind}{threads}"


def save_networks(result: Pretraining, electra: Electra, tokenizer: Any, notes: dict[str, Any]) -> Sequence[Path]:
    """The networks as transformers' models, each with the tokenizer, in their folders."""
    from transformers.utils import logging as hf_logging

    hf_logging.disable_progress_bar()  # they are small
    return [
        save_whole(folder, notes, network.save_pretrained, tokenizer.save_pretrained)
        for folder, network in (
            (result.model_dir, electra.encoder()), (result.generator_dir, electra.generator),
        )
        if folder
    ]  # fmt: skip
