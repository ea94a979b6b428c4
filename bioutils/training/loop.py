"""Fine-tuning by a plain PyTorch loop: every step in sight, and the same result as the Trainer's.

Notebook 04 prints ``training_step`` and ``train_epoch``: they are the lesson, the rest is what makes it dependable.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bioutils.cache import digest, weights_digest
from bioutils.device import autocast, choose_device, keep_freed_memory
from bioutils.errors import UsageError, expected
from bioutils.features import pad_batch, tokenise
from bioutils.heads.classification import n_weights
from bioutils.heads.tagging import NO_LABEL
from bioutils.models import save_adapter
from bioutils.training.adapters import with_lora
from bioutils.training.arguments import TrainingSettings
from bioutils.training.checkpoints import find_checkpoint, identity, load_checkpoint, save_checkpoint
from bioutils.training.judges import MORE_INPUTS, ClassJudge, Judge
from bioutils.training.optimizers import make_optimizer, parameter_groups  # noqa: F401  notebook 04 shows the groups
from bioutils.training.results import TrainingResult, new_classifier, save_whole, training_notes

if TYPE_CHECKING:
    import torch
    from datasets import Dataset, DatasetDict
    from transformers import PreTrainedTokenizerBase, TrainerCallback

MAX_NORM = 1.0  # gradients longer than this are scaled down to it: one odd batch must not throw the weights about
SORTED = 50  # batches sorted by length together, at most: little padding, and batches still differ from epoch to epoch
SHARE = (
    4  # at most this part of an epoch is sorted together: were it all, the batches of a small corpus would be too alike
)

Batch = tuple[dict[str, "torch.Tensor"], "torch.Tensor"]  # inputs (rows, tokens) each, labels (rows,) or (rows, tokens)


def epoch_order(lengths: np.ndarray, *, rows_a_step: int, seed: int) -> list[np.ndarray]:
    """Row numbers of each step of an epoch: shuffled, rows of like length together. The same for the same seed.

    As many batches are sorted together as by transformers' ``LengthGroupedSampler``, which the Trainer route uses.
    """
    rng = np.random.default_rng(seed)
    together = min(max(1, len(lengths) // (SHARE * rows_a_step)), SORTED)
    order, size = rng.permutation(len(lengths)), together * rows_a_step
    chunks = [order[start : start + size] for start in range(0, len(order), size)]
    order = np.concatenate([chunk[np.argsort(-lengths[chunk], kind="stable")] for chunk in chunks])
    steps = [order[start : start + rows_a_step] for start in range(0, len(order), rows_a_step)]
    rng.shuffle(steps)
    return steps


def micro_batches(
    data: "Dataset", rows: np.ndarray, tokenizer: "PreTrainedTokenizerBase", *, batch_size: int
) -> Iterator[Batch]:
    """The rows of one step as padded batches of at most ``batch_size`` rows, on the device."""
    import torch

    device = choose_device()
    for start in range(0, len(rows), batch_size):
        part = data[rows[start : start + batch_size]]
        inputs = pad_batch(part["input_ids"], tokenizer)
        inputs |= {name: torch.as_tensor(part[name]) for name in MORE_INPUTS if name in part}
        labels = part["label"]
        if isinstance(labels[0], list):  # a label a token: padding has none
            n_tokens = inputs["input_ids"].shape[1]
            labels = [row + [NO_LABEL] * (n_tokens - len(row)) for row in labels]
        yield {k: v.to(device) for k, v in inputs.items()}, torch.as_tensor(labels, device=device)


def summed_loss(logits: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
    """The cross-entropy (nats) of logits (…, classes), summed over the labels (…) that are not NO_LABEL."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="sum", ignore_index=NO_LABEL)


def loss_of(model: "torch.nn.Module") -> "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]":
    """The summed loss that a model is trained on: its own, as a CRF has, or ``summed_loss``."""
    return getattr(model, "summed_loss", summed_loss)


def training_step(
    model: "torch.nn.Module",
    batches: Sequence[Batch],
    optimizer: "torch.optim.Optimizer",
    scheduler: Any,
    *,
    bf16: bool,
) -> float:
    """One step of the optimiser on one or several batches, whose gradients add up; returns the mean loss (nats)."""
    import torch

    optimizer.zero_grad()
    n_labels = sum(int((labels != NO_LABEL).sum()) for _, labels in batches)
    total = 0.0
    for inputs, labels in batches:
        with autocast(bf16):  # which keeps the cross-entropy itself in float32
            logits = model(**inputs).logits  # (rows, classes), or (rows, tokens, classes)
            # Over the labels of ALL batches of the step: so 4 × 8 rows give the gradient of 32.
            loss = loss_of(model)(logits, labels) / n_labels
        loss.backward()
        total += loss.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
    optimizer.step()
    scheduler.step()
    return total


def train_epoch(
    model: "torch.nn.Module",
    data: "Dataset",
    tokenizer: "PreTrainedTokenizerBase",
    optimizer: "torch.optim.Optimizer",
    scheduler: Any,
    settings: TrainingSettings,
    *,
    epoch: int,
    bar: Any,
) -> list[float]:
    """The loss of each step of an epoch over all rows of ``data``; the bar shows it with the learning rate."""
    model.train()
    losses = []
    steps = epoch_order(
        np.asarray(data["length"][:]),
        rows_a_step=settings.batch_size * settings.accumulation,
        seed=settings.seed + epoch,
    )
    for rows in steps:
        batches = list(micro_batches(data, rows, tokenizer, batch_size=settings.batch_size))
        losses.append(training_step(model, batches, optimizer, scheduler, bf16=settings.bf16))
        bar.set_postfix(epoch=epoch, loss=f"{losses[-1]:.3f}", lr=f"{scheduler.get_last_lr()[0]:.1e}", refresh=False)
        bar.update()
    return losses


def fingerprint(data: "Dataset") -> str:
    """A short name for the texts and labels of a data set, in their order."""
    rows = zip(data["text"][:], data["label"][:], strict=True)
    return digest([f"{label}{text}".encode() for text, label in rows])[:16]


def train_natively(
    dataset: "DatasetDict",
    *,
    encoder: str,
    settings: TrainingSettings,
    out: Path | str,
    resume: bool = False,
    progress: bool = True,
    callbacks: Sequence["TrainerCallback"] = (),
    lora_rank: int = 0,
) -> TrainingResult:
    """As ``trainer.train_classifier`` does, without the Trainer: same data, settings, files and result, and ``mistakes``.

    ``lora_rank`` above 0 trains adapters of that rank and the head, and saves these alone (``adapters.with_lora``).

    After each epoch: validation, the best weights kept, a checkpoint under ``out/checkpoints``. ``resume=True`` goes on
    from the last one as if nothing had happened: on CPU the weights are equal bit for bit. ``callbacks`` are the
    Trainer's; they hear of the beginning, of each epoch's end and of each log entry.
    Raises UsageError for a ``max_length`` the encoder does not take and for a checkpoint of another run.
    """
    names, tokenizer, model = new_classifier(dataset["train"], encoder=encoder, settings=settings)
    facts: dict[str, Any] = {"labels": names, "encoder_weights": weights_digest(model.base_model)}
    if lora_rank:
        model = with_lora(model, rank=lora_rank, alpha=2 * lora_rank, seed=settings.seed)
    facts |= {"lora_rank": lora_rank, "n_weights": n_weights(model)}
    tokenised = {
        part: tokenise(dataset[part], tokenizer, max_length=settings.max_length) for part in ("train", "validation")
    }
    # An adapter's tokenizer is its encoder's.
    writers = [save_adapter(model, encoder)] if lora_rank else [model.save_pretrained, tokenizer.save_pretrained]
    return fit(
        model, tokenizer, tokenised, encoder=encoder, settings=settings, out=out, writers=writers, facts=facts,
        resume=resume, progress=progress, callbacks=callbacks,
    )  # fmt: skip


def fit(
    model: "torch.nn.Module",
    tokenizer: "PreTrainedTokenizerBase",
    dataset: "Mapping[str, Dataset]",
    *,
    encoder: str,
    settings: TrainingSettings,
    out: Path | str,
    writers: Sequence[Callable[[Path], Any]],
    facts: dict[str, Any],
    resume: bool = False,
    resumable: bool = True,
    judge: "Judge | None" = None,
    progress: bool = True,
    callbacks: Sequence["TrainerCallback"] = (),
) -> TrainingResult:
    """Trains any classifier of token ids (``.config``, ``.logits``) on tokenised parts, as ``train_natively`` describes.

    ``dataset``: train and validation with columns text, label, input_ids, length and perhaps MORE_INPUTS. ``writers``
    save the model; ``facts`` go into its notes, and a checkpoint of other facts is not gone on from. ``resumable=False`` writes
    none, which saves three times the model's size an epoch where many short trainings follow one another. ``judge`` scores
    each epoch, by default as a classifier of the rows of ``validation``.
    """
    import pandas as pd
    import torch
    from safetensors.torch import load_model, save_model
    from tqdm import tqdm
    from transformers import TrainerControl, TrainerState, get_linear_schedule_with_warmup

    from bioutils.training.callbacks import JsonLines

    keep_freed_memory()
    out, checkpoints = Path(out), Path(out) / "checkpoints"
    train = dataset["train"]
    judge = judge or ClassJudge(dataset["validation"], tokenizer)
    model.to(choose_device())
    steps_an_epoch = -(-len(train) // (settings.batch_size * settings.accumulation))
    n_steps = steps_an_epoch * settings.epochs
    optimizer = make_optimizer(model, settings)
    scheduler = get_linear_schedule_with_warmup(optimizer, int(settings.warmup * n_steps), n_steps)

    wanted = identity(model.config) | {k: v for k, v in facts.items() if k not in ("labels", "n_weights")}
    wanted |= {"settings": asdict(settings), "training rows": fingerprint(train)}
    last = find_checkpoint(checkpoints / "last") if resume else None
    history: list[dict] = []
    mistakes: list[pd.DataFrame] = []
    seconds_before = 0.0
    torch.manual_seed(settings.seed)  # dropout
    if last:
        saved = load_checkpoint(last, model, optimizer, scheduler, wanted)
        history, seconds_before = saved["history"], saved["seconds"]
        mistakes = [pd.DataFrame(rows) for rows in saved["mistakes"]]
    else:
        shutil.rmtree(checkpoints, ignore_errors=True)

    started = time.perf_counter()
    state = TrainerState(epoch=len(history), global_step=len(history) * steps_an_epoch, max_steps=n_steps)
    everyone = [JsonLines(out / "train.jsonl"), *callbacks]

    def tell(event: str, **more) -> None:
        for callback in everyone:
            getattr(callback, event)(settings, state, TrainerControl(), model=model, processing_class=tokenizer, **more)

    tell("on_train_begin")
    with tqdm(total=n_steps, initial=state.global_step, unit=" steps", disable=None if progress else True) as bar:
        while len(history) < settings.epochs and not _patience_over(history, settings):
            epoch = len(history) + 1
            losses = train_epoch(model, train, tokenizer, optimizer, scheduler, settings, epoch=epoch, bar=bar)
            state.epoch, state.global_step = epoch, epoch * steps_an_epoch
            history.append({"epoch": epoch, "train_loss": float(np.mean(losses)), **judge.scores(model)})
            if f"validation_{settings.metric}" not in history[-1]:
                known = [name.removeprefix("validation_") for name in history[-1] if name.startswith("validation_")]
                raise UsageError(expected("metric", "one of this task", settings.metric, available=known))
            mistakes.append(judge.mistakes(epoch))
            tell("on_epoch_end")
            tell("on_log", logs={"lr": scheduler.get_last_lr()[0], **history[-1]})
            if _best(history, settings) == len(history) - 1:
                (checkpoints / "best").mkdir(parents=True, exist_ok=True)
                save_model(model, str(checkpoints / "best" / ".new.safetensors"))
                (checkpoints / "best" / ".new.safetensors").replace(checkpoints / "best" / "model.safetensors")
            if not resumable:
                continue
            done = {
                "identity": wanted,
                "history": history,
                "mistakes": [table.to_dict("records") for table in mistakes],
                "seconds": seconds_before + time.perf_counter() - started,
            }
            save_checkpoint(checkpoints / "last", model, optimizer, scheduler, done)
    seconds = seconds_before + time.perf_counter() - started

    best = _best(history, settings)
    load_model(model, str(checkpoints / "best" / "model.safetensors"))
    tell("on_train_end")
    judge.scores(model)
    temperature = judge.temperature()
    score = {name: history[best][name] for name in {"validation_macro_f1", f"validation_{settings.metric}"}}
    notes = training_notes(train, encoder=encoder, settings=settings, temperature=temperature, scores=score)
    save_whole(out / "model", notes | facts, *writers)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return TrainingResult(
        out / "model",
        pd.DataFrame(history),
        best + 1,
        temperature,
        seconds,
        len(train) * len(history) / seconds,
        pd.concat(mistakes, ignore_index=True),
    )


def _best(history: Sequence[dict], settings: TrainingSettings) -> int:
    """The position of the first epoch of the best score on validation rows."""
    return settings.best([row[f"validation_{settings.metric}"] for row in history])


def _patience_over(history: Sequence[dict], settings: TrainingSettings) -> bool:
    return bool(settings.patience and history) and len(history) - 1 - _best(history, settings) >= settings.patience
