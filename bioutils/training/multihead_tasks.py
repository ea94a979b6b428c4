"""Annotated documents as a task for several heads: each head's labels in order, and every document's target of each head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bioutils.annotation_inputs import (
    CATEGORY,
    Marked,
    labels_in,
    mark,
    single,
    tag_array,
    tags_of,
)
from bioutils.corpora.records import Document
from bioutils.errors import UsageError, expected
from bioutils.heads.multihead import HeadSpec
from bioutils.pair_inputs import CONSTRUCTIONS, link_labels, link_pairs, no_pairs, pairs_of

SHOWN = 5  # links named in an error; all are counted


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

    @property
    def not_asked(self) -> int:
        """How many documents have no link, so that no head that learns links is asked about them."""
        return sum(any(s.kind == "link" and not _tells(m, s) for s in self.specs) for m in self.documents)


def _tells(marked: Marked, spec: HeadSpec) -> bool:
    return bool(marked.document.links) or spec.layer.startswith("link_same_tag_only")


def _check_members(documents: Sequence[Marked], head: str) -> None:
    """A link head joins the units of tags: a link within a link would be lost without a word. Raises UsageError."""
    found = []
    for document in (m.document for m in documents):
        tags = {span.id for span in document.spans}
        found += [f"{document.id}: {link.id}" for link in document.links if any(t not in tags for _, t in link.members)]
    if found:
        some = ", ".join(found[:SHOWN]) + (", …" if len(found) > SHOWN else "")
        raise UsageError(
            f"Expected head {head} to be given links between tags, found {len(found)} with other members, such as links ({some})."
            " Leave the head out, or these links."
        )


def make_task(
    documents: Sequence[Document], specs: Sequence[HeadSpec], *, labels: Mapping[str, Sequence[str]] | None = None
) -> MultiheadTask:
    """The documents as targets of heads. ``labels``: a head's, of a model that is tested; labels of the documents that are not
    among them stand behind them, so that what the model cannot find counts as missed.

    A head that learns links is asked nothing of a document without any: whether there are none, or whether nobody looked for
    them, its annotation does not tell. ``MultiheadTask.not_asked`` counts these. Raises UsageError for a layer without a label,
    and for a link head where no document joins anything, or a link has members that are no tags.
    """
    marked = [mark(document) for document in documents if document.text.strip()]
    given, labels, targets = labels or {}, {}, {}
    specs = [replace(s, categories=labels_in(marked, CATEGORY)) if s.marks and not s.categories else s for s in specs]
    for spec in specs:
        if spec.kind == "link":
            if not spec.layer.startswith("link_same_tag_only"):
                _check_members(marked, spec.name)
            known = tuple(given.get(spec.name, ()))
            labels[spec.name] = (*known, *(x for x in link_labels(marked, spec.layer) if x not in known))
            pairs = [link_pairs(m, spec.layer, labels[spec.name], spec.categories) for m in marked]
            targets[spec.name] = [p if _tells(m, spec) else no_pairs(p) for p, m in zip(pairs, marked, strict=True)]
            if spec.name not in given and not any(pairs_of(p.joined).any() for p in targets[spec.name]):
                what = f"documents that join units for it ({spec.layer}: {CONSTRUCTIONS[spec.layer]})"
                remedy = "Leave the head out, or give documents in which someone marked links."
                raise UsageError(
                    expected(f"head {spec.name}", f"given {what}", f"none in {len(marked)}", remedy=remedy)
                )
            continue
        names = labels_in(marked, spec.layer, known=given.get(spec.name, ()))
        labels[spec.name] = names
        arrays = (tag_array(m, spec.layer, names, spec.scheme) for m in marked)
        targets[spec.name] = list(arrays) if spec.kind == "multi_label" else [single(a) for a in arrays]
    return MultiheadTask(marked, tuple(specs), labels, targets)


def outputs(task: MultiheadTask) -> dict[str, tuple[str, ...]]:
    """What each head has a logit for: tags, or of a link head its labels."""
    return {
        s.name: task.labels[s.name] if s.kind == "link" else tags_of(task.labels[s.name], s.scheme) for s in task.specs
    }
