"""Several tasks on one encoder: a head each, and every step, on rows of one task, moves the encoder that all share.

As the original ELECTRA fine-tunes tasks named together (Clark et al. 2020, arXiv 2003.10555; Caruana 1997, Machine Learning
28:41): the tasks' rows mixed, each counted once an epoch, so that a large corpus has the larger say.
"""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from bioutils.device import choose_device, keep_freed_memory
from bioutils.encoders import load_tokenizer
from bioutils.errors import UsageError, expected
from bioutils.heads.tagging import TaggerWithCRF
from bioutils.models import HeadedClassifier, head_notes, save_headed
from bioutils.relation_inputs import relation_inputs
from bioutils.taggers import save_tagger
from bioutils.training.arguments import TrainingSettings
from bioutils.training.judges import ClassJudge, Judge
from bioutils.training.loop import epoch_order, micro_batches, training_step
from bioutils.training.optimizers import make_optimizer
from bioutils.training.relation_tasks import Fold, Task
from bioutils.training.relations import architecture, new_relation_model, relation_dataset
from bioutils.training.results import TrainingResult, save_whole, training_notes
from bioutils.training.tagging import TAGGING, TaggingTask, prepare_tagger

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Of the scores that every judge gives. Of a corpus with one type of entity macro- and micro-F1 are the same.
TOGETHER = replace(TAGGING, metric="macro_f1")


@dataclass(frozen=True)
class Member:
    """A task among several: an untrained model, its tokenised rows, who judges it, how it is saved, and notes about it."""

    name: str
    model: nn.Module
    tokenizer: "PreTrainedTokenizerBase"
    train: "Dataset"
    judge: Judge
    write: Callable[[Path], Any]
    facts: dict[str, Any]


def tagger_member(
    task: TaggingTask, *, encoder: str, head: str = "softmax", settings: TrainingSettings = TOGETHER
) -> Member:
    """A tagger of entities; ``taggers.load_tagger`` takes what it leaves."""
    tagger, train, judge, facts = prepare_tagger(task, encoder=encoder, head=head, settings=settings)
    return Member(task.name, tagger.model, tagger.tokenizer, train, judge, save_tagger(tagger), facts)


def relation_member(
    task: Task, fold: Fold, *, encoder: str, head: str = "MLP", marking: str = "enclose",
    settings: TrainingSettings = TOGETHER,
) -> Member:  # fmt: skip
    """A classifier of relations, of the fold's training rows; ``models.load_model`` takes what it leaves.

    Raises UsageError for marker tokens: they would be words of an encoder that is not this task's alone.
    """
    if marking == "markers":
        remedy = "Use none, mask or enclose."
        raise UsageError(expected("marking", "one that adds no tokens to a shared encoder", marking, remedy=remedy))
    kind, options = architecture("fine-tuned", head)
    tokenizer = load_tokenizer(encoder)
    inputs = relation_inputs(task.examples, tokenizer, marking=marking, max_length=settings.max_length)
    data = relation_dataset(task, inputs)
    model = new_relation_model(
        task.names, len(tokenizer), encoder=encoder, head=kind, options=options, seed=settings.seed
    )
    facts = head_notes(kind, options, task.names, encoder, model.encoder, model.spec) | {"marking": marking}
    judge = ClassJudge(data.select(fold.validation), tokenizer)
    train = data.select(fold.train)
    return Member(task.corpus.name, model, tokenizer, train, judge, save_headed(model, tokenizer), facts)


class Together(nn.ModuleList):
    """The members' models as one, for the optimiser: each weight of the shared encoder once."""

    @property
    def rates(self) -> dict[str, float]:
        """Of heads that learn faster than the rest, under their names here."""
        return {f"{i}.{s}": rate for i, model in enumerate(self) for s, rate in getattr(model, "rates", {}).items()}


def share_encoder(models: Sequence[nn.Module]) -> Together:
    """The models, which now hold one and the same encoder. Raises UsageError where theirs differ in form."""
    owners = [_owner(model) for model in models]
    # Of a tagger, where there is one: transformers gives its encoder no pooler, which its folder has then no place for.
    owner, name = next((found for found in owners if not isinstance(found[0], HeadedClassifier)), owners[0])
    shared: PreTrainedModel = getattr(owner, name)
    for owner, name in owners:
        own = getattr(owner, name)
        if type(own) is not type(shared) or own.config.hidden_size != shared.config.hidden_size:
            raise UsageError("The tasks' encoders differ. Make all members of one encoder.")
        setattr(owner, name, shared)
    return Together(models)


def _owner(model: nn.Module) -> tuple[nn.Module, str]:
    """The module that holds the encoder, and the encoder's name there."""
    model = model.tagger if isinstance(model, TaggerWithCRF) else model
    return (model, "encoder") if isinstance(model, HeadedClassifier) else (model, model.base_model_prefix)


def mixed_steps(
    members: Sequence[Member], settings: TrainingSettings, epoch: int
) -> Iterator[tuple[Member, np.ndarray]]:
    """The steps of an epoch, those of all members shuffled: whose it is, and its rows, each row once."""
    rows_a_step, seed = settings.batch_size * settings.accumulation, settings.seed + epoch
    steps = [
        (member, rows)
        for member in members
        for rows in epoch_order(np.asarray(member.train["length"][:]), rows_a_step=rows_a_step, seed=seed)
    ]
    for i in np.random.default_rng(seed).permutation(len(steps)):
        yield steps[i]


def train_together(
    members: Sequence[Member], *, encoder: str, out: Path | str, settings: TrainingSettings = TOGETHER,
    progress: bool = True,
) -> dict[str, TrainingResult]:  # fmt: skip
    """Each member's model, saved under ``out/<name>/model``, and how its training went, by its name.

    All are of one epoch: the best by the members' mean of ``settings.metric`` on validation rows, so that in the end there is one
    encoder. ``seconds`` and ``samples_per_second`` are of the whole. Raises UsageError for fewer than two members, for two of one
    name, and for a metric that not all judges give.
    """
    import pandas as pd
    from tqdm import tqdm
    from transformers import get_linear_schedule_with_warmup

    names = [member.name for member in members]
    if len(set(names)) < max(2, len(names)):
        raise UsageError(expected("tasks to learn together", "two or more with names of their own", names))
    keep_freed_memory()
    whole = share_encoder([member.model for member in members]).to(choose_device())
    rows_a_step = settings.batch_size * settings.accumulation
    n_steps = settings.epochs * sum(-(-len(member.train) // rows_a_step) for member in members)
    optimizer = make_optimizer(whole, settings)
    scheduler = get_linear_schedule_with_warmup(optimizer, int(settings.warmup * n_steps), n_steps)
    torch.manual_seed(settings.seed)  # dropout
    histories: dict[str, list[dict]] = {name: [] for name in names}
    means: list[float] = []
    weights: dict[str, torch.Tensor] = {}
    started = time.perf_counter()
    with tqdm(total=n_steps, unit=" steps", disable=None if progress else True) as bar:
        for epoch in range(1, settings.epochs + 1):
            losses: dict[str, list[float]] = {name: [] for name in names}
            whole.train()
            for member, rows in mixed_steps(members, settings, epoch):
                batches = list(micro_batches(member.train, rows, member.tokenizer, batch_size=settings.batch_size))
                loss = training_step(member.model, batches, optimizer, scheduler, bf16=settings.bf16)
                losses[member.name].append(loss)
                bar.set_postfix(epoch=epoch, task=member.name, loss=f"{loss:.3f}", refresh=False)
                bar.update()
            for member in members:
                course = {"epoch": epoch, "train_loss": float(np.mean(losses[member.name]))}
                histories[member.name].append(course | member.judge.scores(member.model))
            means.append(_mean_score([rows[-1] for rows in histories.values()], settings.metric))
            best = settings.best(means)
            if best == epoch - 1:
                weights = copy.deepcopy(whole.state_dict())
            if settings.patience and epoch - 1 - best >= settings.patience:
                break
    seconds = time.perf_counter() - started
    whole.load_state_dict(weights)
    speed = len(means) * sum(len(member.train) for member in members) / seconds
    results = {}
    for member in members:
        history = histories[member.name]
        member.judge.scores(member.model)
        temperature = member.judge.temperature()
        scores = {name: history[best][name] for name in {"validation_macro_f1", f"validation_{settings.metric}"}}
        notes = training_notes(member.train, encoder=encoder, settings=settings, temperature=temperature, scores=scores)
        notes |= member.facts | {"together": names}
        folder = save_whole(Path(out) / member.name / "model", notes, member.write)
        results[member.name] = TrainingResult(
            folder, pd.DataFrame(history), best + 1, temperature, seconds, speed, member.judge.mistakes(best + 1)
        )
    return results


def _mean_score(rows: Sequence[dict[str, float]], metric: str) -> float:
    """The members' mean of a score of their last epoch."""
    known = set.intersection(*(set(row) for row in rows))
    if f"validation_{metric}" not in known:
        available = sorted(name.removeprefix("validation_") for name in known if name.startswith("validation_"))
        raise UsageError(expected("metric", "one of all these tasks", metric, available=available))
    return float(np.mean([row[f"validation_{metric}"] for row in rows]))
