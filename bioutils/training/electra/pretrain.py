"""The pre-training loop: rows, masks and schedule follow from the step's number alone, so it goes on as if never stopped."""

import json
import platform
import shutil
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bioutils.device import autocast, keep_freed_memory
from bioutils.errors import UsageError, expected
from bioutils.files import atomic_writer
from bioutils.training.checkpoints import load_checkpoint, random_state, save_checkpoint
from bioutils.training.electra.objective import Electra, Masked, Step, mask_rows
from bioutils.training.electra.run_folder import Pretraining, RunFolder, history_table
from bioutils.training.electra.settings import ElectraSettings
from bioutils.training.electra.shards import Examples
from bioutils.training.electra.start import set_start
from bioutils.training.loop import MAX_NORM
from bioutils.training.optimizers import make_optimizer
from bioutils.training.results import save_whole

if TYPE_CHECKING:
    import torch

VALIDATION_ROWS = 512  # 65,000 tokens, 9,000 of them masked: an accuracy to within one point


def rows_of_step(step: int, *, n_rows: int, batch_size: int, seed: int) -> np.ndarray:
    """The row numbers of a step (from 0): epoch after epoch all rows in a new order, batches running on from one to the next."""
    places = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs = places // n_rows
    return np.array([_order(int(epoch), n_rows, seed)[p % n_rows] for epoch, p in zip(epochs, places, strict=True)])


@lru_cache(maxsize=2)  # a batch may run on into the next epoch
def _order(epoch: int, n_rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(n_rows)


class Masker:
    """Rows of a part, masked as a step asks for."""

    def __init__(self, examples: Examples, settings: ElectraSettings):
        tokenizer = examples.tokenizer()
        self.examples, self.settings, self.mask_id = examples, settings, tokenizer.mask_token_id
        ids = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id, tokenizer.mask_token_id)
        self.special = np.array(ids)

    def __call__(self, part: str, rows: np.ndarray, seed: tuple[int, ...], *, piece: int = 0) -> Masked:
        """The rows of these numbers, masked; with ``piece`` cut into so many rows of that many tokens, a rest left out."""
        s, ids = self.settings, self.examples.rows(part, rows)
        if 0 < piece < ids.shape[1]:
            ids = ids[:, : ids.shape[1] // piece * piece].reshape(-1, piece)
        return mask_rows(
            ids, self.special, mask_id=self.mask_id, mask_share=s.mask_share,
            mask_token=s.mask_token, seed=seed,
        )  # fmt: skip


def on_device(masked: Masked, rows: slice, device: "torch.device") -> "dict[str, torch.Tensor]":
    """Some of the rows as the model's inputs."""
    import torch

    return {name: torch.from_numpy(values[rows]).to(device) for name, values in masked._asdict().items()}


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
    return {"generator_loss": losses[0], "filling_loss" if warm else "detection_loss": losses[1]}


def evaluate(model: Electra, masker: Masker, *, batch_size: int = 32) -> dict[str, float]:
    """Scores on the held-back rows, masked always alike: losses (nats), what the generator fills in rightly, and how well the
    discriminator tells replaced tokens from others, beside the share that is replaced (``base_rate``): who calls all original is
    right on all but these. AUC is over real tokens alone."""
    import torch
    from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

    n_rows = min(VALIDATION_ROWS, masker.examples.facts["validation_rows"])
    masked = masker("validation", np.arange(n_rows), (masker.settings.seed, 2**32 - 1))
    device = next(model.parameters()).device
    model.eval()
    sums, right, scores, replaced = np.zeros(2), 0, [], []
    with torch.no_grad(), autocast(masker.settings.bf16):
        for start in range(0, n_rows, batch_size):
            inputs = on_device(masked, slice(start, start + batch_size), device)
            step = model(**inputs)
            sums += (float(step.generator_loss), float(step.detection_loss))
            right += int((step.generator_logits.argmax(-1) == inputs["original"][inputs["chosen"]]).sum())
            scores.append(step.scores[step.real].float().cpu().numpy())
            replaced.append(step.replaced[step.real].cpu().numpy())
    scores, replaced = np.concatenate(scores), np.concatenate(replaced)
    n_chosen = int(masked.chosen.sum())
    precision, recall, _, _ = precision_recall_fscore_support(replaced, scores > 0, average="binary", zero_division=0)
    return {
        "generator_loss": sums[0] / n_chosen,
        "generator_accuracy": right / n_chosen,
        "detection_loss": sums[1] / len(scores),
        "detection_auc": float(roc_auc_score(replaced, scores)),
        "detection_accuracy": float(((scores > 0) == replaced).mean()),
        "detection_precision": float(precision),
        "detection_recall": float(recall),
        "base_rate": float(replaced.mean()),
    }


def pretrain(
    examples: Examples, out: Path | str, *, settings: ElectraSettings, evaluate_every: int = 500, resume: bool = False,
    overwrite: bool = False, progress: bool = True, facts: dict[str, Any] | None = None,
) -> Pretraining:  # fmt: skip
    """Trains for ``settings.steps`` steps; saves the discriminator to ``out/model`` and the generator to ``out/generator``.

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
        return folder.finished(wanted)
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
            window.append(training_step(model, masked, optimizer, scheduler, accelerator=accelerator, warm=warm))
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
                tokens = (step + 1) * settings.batch_size * length
                history.append({"step": step + 1, "tokens": tokens, "seconds": round(seconds, 1), **means, **scores})
                done = {"identity": wanted, "step": step + 1, "history": history, "seconds": seconds}
                save_checkpoint(folder.checkpoints / "last", electra, optimizer, scheduler, done, random=random)
                with atomic_writer(folder.history) as stream:
                    stream.writelines(json.dumps(row) + "\n" for row in history)
            accelerator.wait_for_everyone()
    result = Pretraining(
        folder.model, folder.generator, history_table(history), settings.steps * settings.batch_size * length,
        before + time.perf_counter() - started,
    )  # fmt: skip
    if accelerator.is_main_process:
        notes = {
            "settings": asdict(settings), "examples": examples.facts, "tokens": result.tokens,
            "seconds": round(result.seconds, 1), "scores": history[-1], "machine": machine(accelerator), **(facts or {}),
        }  # fmt: skip
        save_networks(result, electra, tokenizer, notes)
        shutil.rmtree(folder.checkpoints, ignore_errors=True)
    accelerator.wait_for_everyone()
    return result


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
    """Both networks as transformers' models, each with the tokenizer, in their folders."""
    from transformers.utils import logging as hf_logging

    hf_logging.disable_progress_bar()  # they are small
    return [
        save_whole(folder, notes, network.save_pretrained, tokenizer.save_pretrained)
        for folder, network in (
            (result.model_dir, electra.whole_discriminator()), (result.generator_dir, electra.generator),
        )
    ]  # fmt: skip
