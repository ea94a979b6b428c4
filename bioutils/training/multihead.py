"""Training several heads at once, on a frozen or a fine-tuned encoder; the epoch chosen inside the training abstracts.

Texts are read whole: windows over long ones, joined again. A batch is some texts; their units lie end to end.
"""

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bioutils.annotation_inputs import Marked, labels_in, link_array, link_labels, mark, single, tag_array, tags_of
from bioutils.corpora.records import Document
from bioutils.device import autocast, choose_device, keep_freed_memory
from bioutils.encoders import load_encoder, load_tokenizer
from bioutils.errors import UsageError, expected
from bioutils.evaluation.annotations import NOTHING, by_word, of_labels, pair_counts, span_counts, word_counts
from bioutils.heads.multihead import HeadSet, HeadSpec, LinkHead
from bioutils.training.arguments import TrainingSettings
from bioutils.training.loop import MAX_NORM
from bioutils.training.optimizers import make_optimizer
from bioutils.unit_vectors import UnitVectors

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import nn

# Of heads on frozen vectors: an epoch takes a second. Batches of four texts of some 250 words.
FROZEN = TrainingSettings(epochs=40, learning_rate=2e-3, batch_size=4, warmup=0.0, max_length=512, patience=8)
FINE_TUNED = TrainingSettings(epochs=12, learning_rate=2e-4, batch_size=4, max_length=512, patience=4)


@dataclass(frozen=True)
class MultiheadTask:
    """Documents in units, the heads, each head's labels in order, and every document's target of each head."""

    documents: list[Marked]
    specs: tuple[HeadSpec, ...]
    labels: dict[str, tuple[str, ...]]
    targets: dict[str, list[Any]]

    @property
    def groups(self) -> np.ndarray:
        """The abstract of each document."""
        return np.array([m.document.group or m.document.id for m in self.documents])


def make_task(
    documents: Sequence[Document], specs: Sequence[HeadSpec], *, labels: Mapping[str, Sequence[str]] | None = None
) -> MultiheadTask:
    """The documents as targets of heads. ``labels``: a head's, where they are not to be read from the documents: those of a model
    that is tested. Raises UsageError for a layer without a label."""
    marked = [mark(document) for document in documents if document.text.strip()]
    given, labels, targets = labels or {}, {}, {}
    for spec in specs:
        if spec.kind == "link":
            labels[spec.name] = tuple(given.get(spec.name) or link_labels(marked, spec.layer))
            targets[spec.name] = [link_array(m, spec.layer, labels[spec.name]) for m in marked]
            continue
        names = tuple(given.get(spec.name) or labels_in(marked, spec.layer))
        labels[spec.name] = names
        arrays = (tag_array(m, spec.layer, names, spec.scheme) for m in marked)
        targets[spec.name] = list(arrays) if spec.kind == "multi_label" else [single(a) for a in arrays]
    return MultiheadTask(marked, tuple(specs), labels, targets)


def outputs(task: MultiheadTask) -> dict[str, tuple[str, ...]]:
    """What each head has a logit for: tags, or of a link head its labels."""
    return {
        s.name: task.labels[s.name] if s.kind == "link" else tags_of(task.labels[s.name], s.scheme) for s in task.specs
    }


@dataclass(frozen=True)
class Trained:
    """Heads with the weights of their best epoch, the encoder they stand on (None where it is frozen), and the course."""

    heads: HeadSet
    encoder: "nn.Module | None"
    history: "pd.DataFrame"
    best_epoch: int
    seconds: float


def train(
    task: MultiheadTask, rows: Sequence[int], validation: Sequence[int], *, encoder: str, frozen: bool = True,
    settings: TrainingSettings | None = None, balance: float = 0.5, dropout: float = 0.1,
    vectors: "Sequence[torch.Tensor] | None" = None, also: Mapping[str, Sequence[int]] | None = None, last: bool = False,
) -> Trained:  # fmt: skip
    """Trains on the documents ``rows``; the epoch with the best mean F1 of the heads on ``validation`` is kept.

    ``balance`` of the labels, 0 (none) to 1; ``vectors``: of all documents, where the encoder is frozen and they are known;
    ``also``: other rows to score each epoch, for curves, never to choose by; ``last``: choose nothing, keep the last epoch.
    ``history``: a row an epoch, part and head.
    """
    import pandas as pd
    import torch

    settings = settings or (FROZEN if frozen else FINE_TUNED)
    if not 0 <= balance <= 1:
        raise UsageError(expected("balance", "between 0 (none) and 1 (full)", balance))
    keep_freed_memory()
    device = choose_device()
    body, read = None, None
    if frozen:
        vectors = (
            vectors if vectors is not None else frozen_vectors(task, encoder=encoder, max_length=settings.max_length)
        )
        width = vectors[0].shape[1]
    else:
        body = load_encoder(encoder).to(device)
        read = UnitVectors(body, load_tokenizer(encoder), task.documents, max_length=settings.max_length)
        width = body.config.hidden_size
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        heads = HeadSet(task.specs, width, outputs(task), dropout=dropout).to(device)
        heads.balance({name: [found[i] for i in rows] for name, found in task.targets.items()}, balance)
        whole = torch.nn.ModuleDict({"heads": heads} | ({} if body is None else {"encoder": body}))
        optimizer = make_optimizer(whole, settings)
        n_steps = settings.epochs * -(-len(rows) // settings.batch_size)
        warm = max(1, round(settings.warmup * n_steps))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / warm, (n_steps - step) / max(1, n_steps - warm))
        )
        parts = {"validation": validation} | dict(also or {})
        history, best, started = [], None, time.perf_counter()
        for epoch in range(1, settings.epochs + 1):
            whole.train()
            order = np.random.default_rng((settings.seed, epoch)).permutation(np.asarray(rows))
            sums: dict[str, list[float]] = {spec.name: [] for spec in task.specs}
            for start in range(0, len(order), settings.batch_size):
                texts = order[start : start + settings.batch_size]
                sizes = [len(task.documents[i].places) for i in texts]
                optimizer.zero_grad()
                with autocast(settings.bf16):
                    found = torch.cat([vectors[i] for i in texts]).to(device) if read is None else read(texts)
                    losses = heads.loss(found, sizes, {name: [t[i] for i in texts] for name, t in task.targets.items()})
                heads.total(losses).backward()
                torch.nn.utils.clip_grad_norm_(whole.parameters(), MAX_NORM)
                optimizer.step()
                schedule.step()
                for name, loss in losses.items():
                    sums[name].append(loss.item())
            now = vectors if read is None else read.all()
            for part, chosen in parts.items():
                scores = score(task, chosen, heads, now)
                for name, found in scores.items():
                    history.append(
                        {"epoch": epoch, "part": part, "head": name, "train_loss": float(np.mean(sums[name]))} | found
                    )
            mean = np.mean([row["f1"] for row in history if row["epoch"] == epoch and row["part"] == "validation"])
            if best is None or mean > best[0] or last:
                best = (mean, epoch, copy.deepcopy(whole.state_dict()))
            elif settings.patience and epoch - best[1] >= settings.patience:
                break
    whole.load_state_dict(best[2])
    return Trained(heads.eval(), body, pd.DataFrame(history), best[1], time.perf_counter() - started)


def frozen_vectors(task: MultiheadTask, *, encoder: str, max_length: int = 512) -> "list[torch.Tensor]":
    """The vectors of all documents' units by an encoder that stays as it is: computed once for all folds and heads."""
    model = load_encoder(encoder).to(choose_device())
    return UnitVectors(model, load_tokenizer(encoder), task.documents, max_length=max_length).all()


def score(
    task: MultiheadTask, rows: Sequence[int], heads: HeadSet, vectors: "Sequence[torch.Tensor]"
) -> dict[str, dict[str, float]]:
    """Each head's scores on documents: by word (precision, recall, f1, accuracy) and ``span_f1``; of a link head by pair of
    marked units, the marks being gold."""
    import torch

    heads.eval()
    device = next(heads.parameters()).device
    totals = {spec.name: [NOTHING, NOTHING] for spec in task.specs}
    with torch.no_grad():
        for i in rows:
            text, marked = vectors[i].to(device), task.documents[i]
            for spec in task.specs:
                head, target, labels = heads.heads[spec.name], task.targets[spec.name][i], task.labels[spec.name]
                if isinstance(head, LinkHead):
                    units, joined = target
                    if len(units) > 1:
                        totals[spec.name][0] += pair_counts(
                            joined, head.probabilities(text[torch.as_tensor(units)]) > 0.5
                        )
                    continue
                answers = head.answers(head(text)) if len(text) else np.zeros_like(target)
                if spec.kind == "multi_label":
                    totals[spec.name][0] += word_counts(by_word(target, marked.words), by_word(answers, marked.words))
                    continue
                gold, found = (by_word(of_labels(a, len(labels), spec.scheme), marked.words) for a in (target, answers))
                totals[spec.name][0] += word_counts(gold, found)
                totals[spec.name][1] += span_counts(target, answers, labels, spec.scheme)
    return {
        spec.name: totals[spec.name][0].scores
        | ({"span_f1": totals[spec.name][1].scores["f1"]} if spec.kind in ("single_label", "crf") else {})
        for spec in task.specs
    }


if __name__ == "__main__":
    from bioutils.multihead_launch import main

    raise SystemExit(main())
