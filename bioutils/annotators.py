"""Trained heads put to work: text in, a document with tags, values and links out; saved and loaded without a pickle."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bioutils.annotation_inputs import CATEGORY, Marked, mark, runs
from bioutils.corpora.records import Document, Link, Remark, Span, slice_of
from bioutils.encoders import load_encoder, load_tokenizer
from bioutils.errors import DataError, UsageError, expected
from bioutils.files import read_json
from bioutils.heads.multihead import HeadSet, HeadSpec, LinkHead
from bioutils.models import OWN_ENCODER, SIDECAR
from bioutils.pair_inputs import link_pairs
from bioutils.unit_vectors import UnitVectors

if TYPE_CHECKING:
    import networkx as nx
    import torch
    from torch import nn
    from transformers import PreTrainedTokenizerBase

HEADS = "heads.safetensors"
LINKING = "ENTITY_LINKING"
CHUNK = 64  # texts whose vectors are held at once


@dataclass(frozen=True)
class Annotator:
    """Heads on an encoder, each label head's labels (without letters), and what links call each category.

    ``groups``: the abstracts that it was trained on, by which a test tells that it is none; empty where that is not known.
    """

    heads: HeadSet
    encoder: "nn.Module"
    tokenizer: "PreTrainedTokenizerBase"
    labels: Mapping[str, Sequence[str]]
    roles: Mapping[str, str]
    attributes: Mapping[str, str]  # category → the attribute that holds its value
    max_length: int = 512
    groups: tuple[str, ...] = ()
    threshold: float = 0.5  # two tags are joined where the mean probability over pairs of their units is above

    def vectors(self, documents: Sequence[Marked]) -> "list[torch.Tensor]":
        """The units' vectors of each document."""
        return UnitVectors(self.encoder, self.tokenizer, documents, max_length=self.max_length).all()

    def head(self, layer: str) -> str | None:
        """The name of the label head of a layer (a category's also under ``CATEGORY.attribute``); one that gives one label a unit
        comes before one that gives many."""
        for kinds in (("single_label", "crf"), ("multi_label",)):
            for name, head in self.heads.heads.items():
                if head.spec.kind in kinds and layer in (head.spec.layer, head.spec.layer.partition(".")[0]):
                    return name
        return None

    def link_head(self) -> str | None:
        """The name of the head that finds links."""
        linking = ("link", "link or tag")
        return next(
            (n for n, h in self.heads.heads.items() if isinstance(h, LinkHead) and set(linking) & set(h.labels)), None
        )


def annotate(
    texts: Iterable[Document], tagger: Annotator, linker: Annotator | None = None, *, threshold: float | None = None
) -> list[Document]:
    """The texts with tags of the one model and links of the other (or of the same): whatever was marked before is left out.

    Tags are runs of the category head's answers, of a head that gives many labels a unit the runs of each; a tag's value is the
    one of its category's head with the largest mean logit over the tag's units, the category being given. Two tags are joined
    where the mean probability over pairs of their units is above ``threshold``, by default the linker's; links are the largest
    groups in which all are joined, with one tag a category, that each bring a tag of their own (``groups_of``). Raises UsageError
    for a tagger without a category head.
    """
    linker = linker or tagger
    name = tagger.head(CATEGORY)
    if name is None:
        kinds = "single_label, crf or multi_label"
        raise UsageError(
            f"The tagger has no head for categories (layer: category, of kind {kinds}). Train it with one."
        )
    link, found = linker.link_head(), []
    documents = [mark(Document(d.id, d.text, group=d.group)) for d in texts]
    for start in range(0, len(documents), CHUNK):
        part = documents[start : start + CHUNK]
        vectors = tagger.vectors(part)
        tagged = [_tags(tagger, name, m, v) for m, v in zip(part, vectors, strict=True)]
        if link is not None:
            others = vectors if linker is tagger else linker.vectors(part)
            tagged = [_links(linker, link, mark(d), v, threshold) for d, v in zip(tagged, others, strict=True)]
        found += tagged
    return found


def link_tags(
    documents: Iterable[Document], linker: Annotator, *, threshold: float | None = None,
    vectors: "Sequence[torch.Tensor] | None" = None,
) -> list[Document]:  # fmt: skip
    """The documents, their tags as they are, and in place of their links those that the model finds among the tags, as
    ``annotate`` does. ``vectors``: the documents' units', where they are there already.

    Raises UsageError for a model without a head that finds links."""
    name, found = linker.link_head(), []
    if name is None:
        raise UsageError("The model has no head that finds links (kind: link). Train it with one.")
    documents = [mark(replace(d, links=())) for d in documents]
    for start in range(0, len(documents), CHUNK):
        part = documents[start : start + CHUNK]
        read = linker.vectors(part) if vectors is None else vectors[start : start + CHUNK]
        found += [_links(linker, name, m, v, threshold) for m, v in zip(part, read, strict=True)]
    return found


def _tags(tagger: Annotator, name: str, marked: Marked, vectors: "torch.Tensor") -> Document:
    import torch

    head, document = tagger.heads.heads[name], marked.document
    if not len(vectors):
        return document
    spans, remarks, vectors = [], [], vectors.to(next(head.parameters()).device)
    with torch.no_grad():
        logits = head(vectors)
        labels = tagger.labels[name]
        if head.spec.kind == "multi_label":
            by_label = logits.reshape(len(logits), len(labels), -1).amax(2)  # over the scheme's letters
            answers = (by_label > 0).cpu().numpy()
            found = [run for i, label in enumerate(labels) for run in runs(answers[:, i].astype(int), [label])]
            found = sorted(found, key=lambda run: run[:2])
            sure = {label: by_label[:, i].sigmoid() for i, label in enumerate(labels)}
        else:
            found = runs(head.answers(logits), labels, head.spec.scheme)
            sure = dict.fromkeys(labels, logits.softmax(1).amax(1))
        values = {}
        for category in {run.type for run in found}:
            if (field := tagger.head(category)) is not None:
                value_head = tagger.heads.heads[field]
                n_none = int(value_head.spec.kind != "multi_label")  # whose first output is that of no value
                values[category] = (field, value_head(vectors)[:, n_none:])
    numbers = Counter()
    for run in found:
        pieces = ((int(marked.places[run.start, 0]), int(marked.places[run.end - 1, 1])),)
        span = Span(f"{run.type}-{numbers[run.type]}", run.type, pieces, slice_of(document.text, pieces))
        numbers[run.type] += 1
        spans.append(span)
        if run.type in values:
            field, scores = values[run.type]
            labels = tagger.labels[field]
            by_label = scores[run.start : run.end].mean(0).reshape(len(labels), -1).amax(1)  # over the scheme's letters
            attribute = tagger.attributes.get(run.type, run.type.lower())
            remarks.append(Remark(f"{span.id}.{attribute}", attribute, span.id, labels[int(by_label.argmax())]))
        remarks.append(
            Remark(f"{span.id}.score", "score", span.id, f"{sure[run.type][run.start : run.end].mean():.3f}")
        )
    return replace(document, spans=tuple(spans), remarks=tuple(remarks))


def _links(linker: Annotator, name: str, marked: Marked, vectors: "torch.Tensor", threshold: float | None) -> Document:
    import networkx as nx
    import torch

    threshold = linker.threshold if threshold is None else threshold
    document, spans = marked.document, marked.document.spans
    if len(spans) < 2:
        return document
    head = linker.heads.heads[name]
    vectors = vectors.to(next(head.parameters()).device)
    pairs = link_pairs(marked, head.spec.layer, head.labels, head.spec.categories)
    place = [np.searchsorted(pairs.units, found) for found in marked.spans]
    label = head.labels.index("link" if "link" in head.labels else "link or tag")
    with torch.no_grad():
        joined = head.probabilities(vectors[torch.as_tensor(pairs.units)], pairs)[..., label]
    graph = nx.Graph()
    for a, b in combinations(range(len(spans)), 2):
        if spans[a].type != spans[b].type and (chance := joined[np.ix_(place[a], place[b])].mean()) > threshold:
            graph.add_edge(a, b, chance=float(chance))
    links = [
        Link(
            f"EN{i}",
            LINKING,
            tuple((linker.roles.get(spans[k].type, spans[k].type.lower()), spans[k].id) for k in group),
        )
        for i, group in enumerate(groups_of(graph))
    ]
    return replace(document, links=tuple(links))


def groups_of(graph: "nx.Graph") -> list[list[int]]:
    """The tags of each link: of the largest groups in which all are joined, large ones and then sure ones first, those that
    bring a tag that none before them has.

    Two causes (0, 1) and two effects (2, 3), all joined, are two links and not four:

    >>> import networkx as nx
    >>> graph = nx.Graph()
    >>> graph.add_weighted_edges_from([(0, 2, 0.9), (0, 3, 0.6), (1, 2, 0.6), (1, 3, 0.8)], weight="chance")
    >>> groups_of(graph)
    [[0, 2], [1, 3]]
    """
    import networkx as nx

    def rank(group: list[int]) -> tuple[int, float, list[int]]:
        return -len(group), -float(np.mean([graph[a][b]["chance"] for a, b in combinations(group, 2)])), group

    seen: set[int] = set()
    found = []
    for group in sorted((sorted(group) for group in nx.find_cliques(graph)), key=rank):
        if not seen.issuperset(group):
            seen |= set(group)
            found.append(group)
    return sorted(found)


def linked_alone(documents: Iterable[Document], categories: Sequence[str]) -> list[Document]:
    """Of each document the links that have a tag of every one of these categories, and the tags in them; documents without such a
    link are left out."""
    found = []
    for document in documents:
        category = {span.id: span.type for span in document.spans}
        links = [x for x in document.links if set(categories) <= {category.get(target) for _, target in x.members}]
        if links:
            there = {target for link in links for _, target in link.members}
            spans = tuple(span for span in document.spans if span.id in there)
            remarks = tuple(remark for remark in document.remarks if remark.target in there)
            found.append(replace(document, spans=spans, links=tuple(links), remarks=remarks))
    return found


def roles_in(documents: Iterable[Document]) -> dict[str, str]:
    """Category → the role that links most often give it. Members that are no tags, such as other links, have none."""
    counts: dict[str, Counter[str]] = {}
    for document in documents:
        category = {span.id: span.type for span in document.spans}
        for link in document.links:
            for role, target in link.members:
                if target in category:
                    counts.setdefault(category[target], Counter())[role] += 1
    return {category: found.most_common(1)[0][0] for category, found in counts.items()}


def attributes_in(documents: Iterable[Document]) -> dict[str, str]:
    """Category → the attribute that most of its tags have a value in."""
    counts: dict[str, Counter[str]] = {}
    for document in documents:
        category = {span.id: span.type for span in document.spans}
        for remark in document.remarks:
            if remark.value and remark.target in category:
                counts.setdefault(category[remark.target], Counter())[remark.type] += 1
    return {name: found.most_common(1)[0][0] for name, found in counts.items()}


def save_annotator(annotator: Annotator, *, trained_encoder: bool) -> Callable[[Path], None]:
    """A function that writes the heads, the tokenizer and, where it was trained, the encoder into a folder."""
    from safetensors.torch import save_file

    def write(folder: Path) -> None:
        state = {k: v.detach().cpu().contiguous() for k, v in annotator.heads.state_dict().items()}
        save_file(state, str(folder / HEADS))
        if trained_encoder:
            annotator.encoder.save_pretrained(folder / OWN_ENCODER)
            annotator.tokenizer.save_pretrained(folder / OWN_ENCODER)

    return write


def annotator_facts(annotator: Annotator, *, encoder: str) -> dict[str, Any]:
    """What the folder's notes must hold for ``load_annotator``."""
    return {
        "encoder": encoder, "max_length": annotator.max_length, "labels": {k: list(v) for k, v in annotator.labels.items()},
        "roles": dict(annotator.roles), "attributes": dict(annotator.attributes), "groups": list(annotator.groups),
        "threshold": annotator.threshold,
        **annotator.heads.facts(),
    }  # fmt: skip


def load_annotator(folder: Path | str) -> Annotator:
    """The annotator in a folder. Raises UsageError for a folder without one and DataError for one that is damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder)
    if not (folder / HEADS).is_file() or not (folder / SIDECAR).is_file():
        raise UsageError(expected("model", f"a folder with {HEADS} and {SIDECAR}", str(folder)))
    notes = read_json(folder / SIDECAR)
    try:
        specs = [HeadSpec(**{k: v for k, v in head.items() if k != "labels"}) for head in notes["heads"]]
        heads = HeadSet(
            specs, notes["width"], {h["name"]: h["labels"] for h in notes["heads"]}, dropout=notes["dropout"]
        )
        heads.load_state_dict(load_file(folder / HEADS))
        source = str(folder / OWN_ENCODER) if (folder / OWN_ENCODER).is_dir() else notes["encoder"]
        found = (
            notes["labels"],
            notes["roles"],
            notes["attributes"],
            notes["max_length"],
            tuple(notes.get("groups", ())),
            notes.get("threshold", 0.5),
        )
    except (KeyError, TypeError, SafetensorError, RuntimeError) as error:
        raise DataError(f"The heads cannot be used ({error}). Train them again.", path=folder / HEADS) from None
    return Annotator(heads.eval(), load_encoder(source), load_tokenizer(source), *found)
