"""Training several heads at once, on a frozen or a fine-tuned encoder; the epoch chosen inside the training abstracts.

Texts are read whole: windows over long ones, joined again. A batch is some texts; their units lie end to end.
"""

import copy
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bioutils.device import autocast, choose_device, keep_freed_memory, one_thread
from bioutils.encoders import drop_no_attention, freeze_lowest, load_encoder, load_tokenizer
from bioutils.errors import UsageError, expected
from bioutils.heads.multihead import HeadSet
from bioutils.training.arguments import TrainingSettings
from bioutils.training.loop import MAX_NORM, epoch_order
from bioutils.training.multihead_scores import count, label_table, mean_losses
from bioutils.training.multihead_tasks import MultiheadTask, outputs
from bioutils.training.optimizers import make_optimizer
from bioutils.unit_vectors import UnitVectors

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import nn

# Of heads on frozen vectors: an epoch takes a second. Batches of four texts of some 250 words.
FROZEN = TrainingSettings(epochs=40, learning_rate=2e-3, batch_size=4, warmup=0.0, max_length=512, patience=8)
# Two texts a step, for many steps. Trained on 345 real abstracts for four epochs, F1 on 87 others was 0.576 at 3e-4 with all
# weights learning, 0.593 by their moving average; 0.605 and 0.623 at 2e-4, the embeddings left alone: so STEADY goes with it.
FINE_TUNED = TrainingSettings(epochs=12, learning_rate=2e-4, batch_size=2, max_length=512, patience=0)
STEADY = {"average": 0.998, "freeze": 1}


@dataclass(frozen=True)
class Trained:
    """Heads with the weights of their best epoch, the encoder they stand on (None where it is frozen), and the course.

    ``history``: a row an epoch, part and head, losses in nats; ``labels``: a row a part, head and label at the best epoch;
    ``groups``: the abstracts that it learned from or whose scores chose the epoch.
    """

    heads: HeadSet
    encoder: "nn.Module | None"
    history: "pd.DataFrame"
    labels: "pd.DataFrame"
    best_epoch: int
    seconds: float
    groups: tuple[str, ...]


def train(
    task: MultiheadTask, rows: Sequence[int], validation: Sequence[int], *, encoder: str, frozen: bool = True,
    settings: TrainingSettings | None = None, balance: float = 0.5, dropout: float = 0.1,
    vectors: "Sequence[torch.Tensor] | None" = None, also: Mapping[str, Sequence[int]] | None = None, last: bool = False,
    average: float = 0.0, freeze: int = 0,
) -> Trained:  # fmt: skip
    """Trains on the documents ``rows``; the epoch with the best mean F1 of the heads on ``validation`` is kept.

    ``balance`` of the labels, 0 (none) to 1; ``vectors``: of all documents, where the encoder is frozen and they are known;
    ``also``: other rows to score each epoch, for curves, never to choose by; ``last``: choose nothing, keep the last epoch.
    ``average``: what is scored and kept are not the weights of the last step but their moving average, of which each step makes
    up 1 − ``average`` (Polyak & Juditsky 1992); 0 averages nothing. ``freeze``: how many of the lowest parts of an encoder that
    is trained stay as they are (``encoders.freeze_lowest``). Raises UsageError for what is out of range.
    """
    import pandas as pd
    import torch
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    settings = settings or (FROZEN if frozen else FINE_TUNED)
    if not 0 <= balance <= 1:
        raise UsageError(expected("balance", "between 0 (none) and 1 (full)", balance))
    if not 0 <= average < 1:
        raise UsageError(expected("average", "0 (none) or a share below 1", average))
    keep_freed_memory()
    device = choose_device()
    body, read = None, None
    if frozen:
        vectors = (
            vectors if vectors is not None else frozen_vectors(task, encoder=encoder, max_length=settings.max_length)
        )
        width = vectors[0].shape[1]
    else:
        body = freeze_lowest(drop_no_attention(load_encoder(encoder)), freeze).to(device)  # texts are long
        read = UnitVectors(body, load_tokenizer(encoder), task.documents, max_length=settings.max_length)
        width = body.config.hidden_size
    # Heads alone are small work: two threads take longer than one.
    with torch.random.fork_rng(), one_thread() if frozen else nullcontext():
        torch.manual_seed(settings.seed)
        heads = HeadSet(task.specs, width, outputs(task), dropout=dropout).to(device)
        heads.balance({name: [found[i] for i in rows] for name, found in task.targets.items()}, balance)
        whole = torch.nn.ModuleDict({"heads": heads} | ({} if body is None else {"encoder": body}))
        mean_of = AveragedModel(whole, multi_avg_fn=get_ema_multi_avg_fn(average)) if average else None
        optimizer = make_optimizer(whole, settings)
        n_steps = settings.epochs * -(-len(rows) // settings.batch_size)
        warm = max(1, round(settings.warmup * n_steps))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / warm, (n_steps - step) / max(1, n_steps - warm))
        )
        parts = {"validation": validation} | dict(also or {})
        scored = np.unique(np.concatenate([np.asarray(chosen, dtype=int) for chosen in parts.values()]))
        lengths, known = np.array([len(task.documents[i].places) for i in rows]), np.asarray(rows)
        history, best, started = [], None, time.perf_counter()
        for epoch in range(1, settings.epochs + 1):
            whole.train()
            sums: dict[str, list[float]] = {spec.name: [] for spec in task.specs}
            for step in epoch_order(lengths, rows_a_step=settings.batch_size, seed=settings.seed + epoch):
                texts = known[step]
                sizes = [len(task.documents[i].places) for i in texts]
                optimizer.zero_grad()
                with autocast(settings.bf16):
                    found = torch.cat([vectors[i] for i in texts]).to(device) if read is None else read(texts)
                    losses = heads.loss(found, sizes, {name: [t[i] for i in texts] for name, t in task.targets.items()})
                heads.total(losses).backward()
                torch.nn.utils.clip_grad_norm_(whole.parameters(), MAX_NORM)
                optimizer.step()
                schedule.step()
                if mean_of is not None:
                    mean_of.update_parameters(whole)
                for name, loss in losses.items():
                    sums[name].append(loss.item())
            with nullcontext() if mean_of is None else weights_of(mean_of.module, whole):
                now = vectors if read is None else read.all(scored)
                counts = {part: count(task, chosen, heads, now) for part, chosen in parts.items()}
                for part, found in counts.items():
                    losses = mean_losses(task, parts[part], heads, now)
                    for name, head in found.items():
                        course = {"train_loss": float(np.mean(sums[name])), "loss": losses[name]}
                        history.append({"epoch": epoch, "part": part, "head": name} | course | head.scores)
                # A head that the validation abstracts do not ask has 0 at every epoch, and so no say in which is chosen.
                mean = np.mean([np.nan_to_num(head.scores["f1"]) for head in counts["validation"].values()])
                better = best is None or mean > best[0] or last
                if better:
                    best = (mean, epoch, copy.deepcopy(whole.state_dict()), counts)
            if not better and settings.patience and epoch - best[1] >= settings.patience:
                break
    _, epoch, weights, counts = best
    whole.load_state_dict(weights)
    labels = pd.concat([label_table(found).assign(part=part) for part, found in counts.items()], ignore_index=True)
    seconds, used = time.perf_counter() - started, [*rows, *(() if last else validation)]
    groups = tuple(sorted(set(task.groups[used].tolist())))
    return Trained(heads.eval(), body, pd.DataFrame(history), labels, epoch, seconds, groups)


@contextmanager
def weights_of(other: "nn.Module", module: "nn.Module") -> Iterator[None]:
    """Within it ``module`` has the weights of ``other``, a module of the same form; afterwards its own again."""
    own = copy.deepcopy(module.state_dict())
    module.load_state_dict(other.state_dict())
    try:
        yield
    finally:
        module.load_state_dict(own)


def frozen_vectors(task: MultiheadTask, *, encoder: str, max_length: int = 512) -> "list[torch.Tensor]":
    """The vectors of all documents' units by an encoder that stays as it is: computed once for all folds and heads."""
    model = load_encoder(encoder).to(choose_device())
    return UnitVectors(model, load_tokenizer(encoder), task.documents, max_length=max_length).all()


if __name__ == "__main__":
    from bioutils.multihead_launch import main

    raise SystemExit(main())
