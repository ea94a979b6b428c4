"""Relation corpora by name: their parts, labels and protocol, and the pairs of entities that models are asked about."""

import itertools
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bioutils.corpora import find_root
from bioutils.corpora.brat import read_brat
from bioutils.corpora.chemprot import EVALUATED, read_original, read_sentences
from bioutils.corpora.ddi import KNOWN_FAULTS, read_ddi
from bioutils.corpora.ddi import TYPES as DDI_TYPES
from bioutils.corpora.records import Document, Span, counts
from bioutils.corpora.tabular import read_anonymised
from bioutils.errors import DataError, UsageError, expected
from bioutils.text import sentences

NEGATIVE = "false"  # the label of a pair without a relation
# The published experiments' classes, in their order.
PGX = ("increases", "isEquivalentTo", "treats", "decreases", "influences", "causes", "isAssociatedWith")
PGX_PARENT = {"increases": "influences", "decreases": "influences", "causes": "influences", "metabolizes": "influences"}
CHEMPROT = (
    "AGONIST-INHIBITOR", "INHIBITOR", "PRODUCT-OF", "SUBSTRATE_PRODUCT-OF", "INDIRECT-DOWNREGULATOR",
    "INDIRECT-UPREGULATOR", "SUBSTRATE", "ANTAGONIST", "ACTIVATOR", "DOWNREGULATOR", "AGONIST-ACTIVATOR", "UPREGULATOR",
    "AGONIST",
)  # fmt: skip
SNPPHENA = {
    "strong_confidence_association": "confidence", "moderate_confidence_association": "confidence",
    "weak_confidence_association": "confidence", "negative_association": "negative", "neutral_association": "neutral",
}  # fmt: skip
DDI = (NEGATIVE, *DDI_TYPES)
FORMS = {
    "pgxcorpus": ("brat",),
    "chemprot": ("sentences", "original", "blurb"),
    "gad": ("tsv",),
    "ddi": ("xml", "tsv"),
    "snpphena": ("brat",),
}


@dataclass(frozen=True)
class RelationCorpus:
    """Documents by part ("all" where there is no split), the labels in the order of their numbers, those that are relations."""

    name: str
    form: str
    parts: dict[str, list[Document]]
    labels: tuple[str, ...]

    @property
    def positive(self) -> tuple[str, ...]:
        """The labels that are relations: what BLURB's micro-F1 runs over."""
        return tuple(label for label in self.labels if label not in (NEGATIVE, "0"))

    @property
    def documents(self) -> list[Document]:
        """Of all parts."""
        return [document for part in self.parts.values() for document in part]


@dataclass(frozen=True)
class Example:
    """A pair of entities in a text, and the label of their relation. The first is the relation's first argument."""

    id: str
    group: str
    text: str
    first: Span
    second: Span
    label: str


def read_relations(
    name: str, *, data_root: str | Path | None = None, sample: bool = False, form: str | None = None,
    labels: str | None = None,
) -> RelationCorpus:  # fmt: skip
    """The corpus of that name, every document checked.

    ``form``: one of FORMS, by default the first that lies in the corpus' folder. ``labels``: for pgxcorpus "flat" (default),
    "hierarchy" (influences>increases) or "top" (increases is influences); for chemprot's abstracts "names" (default) or
    "groups" (CPR:4); for snpphena "folded" (default, three) or "fine" (five). Raises UsageError for an unknown corpus, form
    or label set and DataError for what is not there or broken.
    """
    if name not in FORMS:
        raise UsageError(expected("corpus", "one of relations", name, available=FORMS))
    if form is not None and form not in FORMS[name]:
        raise UsageError(expected("form", f"one of {name}", form, available=FORMS[name]))
    root = find_root(name, data_root=data_root, sample=sample)
    found = [f for f in FORMS[name] if form in (None, f) and _lies_there(name, f, root)]
    if not found:
        raise DataError(f"Found nothing of {name} in the form {form or FORMS[name]}. See its documentation.", path=root)
    parts = _parts(name, found[0], root)
    known, relabel = _labels(name, found[0], labels)
    parts = {part: [_relabelled(d, known, relabel, root) for d in documents] for part, documents in parts.items()}
    return RelationCorpus(name, found[0], parts, known)


def _labels(name: str, form: str, labels: str | None) -> tuple[tuple[str, ...], dict[str, str]]:
    """The labels in their order, and what is renamed."""
    choices = {
        "pgxcorpus": ("flat", "hierarchy", "top"),
        "snpphena": ("folded", "fine"),
        "chemprot": ("names", "groups"),
    }
    offered = choices.get(name, ("flat",))
    chosen = labels or offered[0]
    if chosen not in offered:
        raise UsageError(expected("labels", f"a label set of {name}", labels, available=offered))
    if name == "pgxcorpus":
        renamed = {
            "flat": {},
            "hierarchy": {label: f"{parent}>{label}" for label, parent in PGX_PARENT.items()},
            "top": PGX_PARENT,
        }[chosen]
        return tuple(dict.fromkeys(renamed.get(label, label) for label in PGX)), renamed
    if name == "snpphena":
        renamed = SNPPHENA if chosen == "folded" else {}
        return tuple(dict.fromkeys(renamed.get(label, label) for label in SNPPHENA)), renamed
    if name == "chemprot":
        if form == "blurb" or chosen == "groups":
            return (NEGATIVE, *EVALUATED), {}
        return CHEMPROT, {}
    if name == "ddi":
        return DDI, {f"DDI-{label}": label for label in DDI}
    return ("0", "1"), {}


def _lies_there(name: str, form: str, root: Path) -> bool:
    if form == "sentences":
        return (root / "sentences" / "train.txt").is_file()
    if form == "original":
        return any(root.glob("original/*_abstracts.tsv*"))
    if form == "blurb":
        return (root / "blurb").is_dir()
    if form == "xml":
        return bool(_archive(root, "*.xml", ("DDICorpus-2013.zip", "DDICorpus")))
    if form == "tsv":
        return any(root.glob("*.tsv"))
    return bool(_archive(root, "*.ann", ("PGxCorpus.tar.gz", "PGxCorpus.tar", "SNPPhenA.tar.gz")))


def _archive(root: Path, pattern: str, names: Sequence[str]) -> Path | None:
    """The archive of one of the names under ``root``, else ``root`` itself where files of the pattern lie in it."""
    for name in names:
        if found := next(iter(sorted(root.rglob(name))), None):
            return found
    return root if next(root.rglob(pattern), None) else None


def _parts(name: str, form: str, root: Path) -> dict[str, list[Document]]:
    if name == "pgxcorpus":
        source = _archive(root, "*.ann", ("PGxCorpus.tar.gz", "PGxCorpus.tar"))
        return {"all": read_brat(source, group=lambda document: document.split("_")[0])}
    if name == "snpphena":
        source = _archive(root, "*.ann", ("SNPPhenA.tar.gz",))
        return {
            part: [
                _in_part(d, part) for d in read_brat(source, under=f"BRAT/{folder}/", group=lambda n: n.split("-")[0])
            ]
            for part, folder in (("train", "Train"), ("test", "Test"))
        }
    if form == "xml":
        source = _archive(root, "*.xml", ("DDICorpus-2013.zip", "DDICorpus"))
        # The test documents of the other task, on names, have pairs that are all false: not of this test.
        return {"train": read_ddi(source, under="Train/"), "test": read_ddi(source, under="DDI Extraction")}
    if form == "original":
        return _original(root / "original")
    files = {"train": "train", "validation": "dev", "test": "test"}
    parts: dict[str, list[Document]] = {}
    for part, stem in files.items():
        if form == "sentences":
            path, read = root / "sentences" / f"{stem}.txt", read_sentences
        elif name == "chemprot":
            path = root / "blurb" / f"{stem}.tsv"
            read = lambda p: read_anonymised(p, labels=(NEGATIVE, *EVALUATED), group=lambda g: g.split(".")[0])  # noqa: E731
        elif name == "ddi":
            path, known = root / f"{stem}.tsv", tuple(f"DDI-{label}" for label in DDI)
            read = lambda p, known=known: read_anonymised(p, labels=known, group=lambda g: g.split(".s")[0])  # noqa: E731
        else:
            path, read = root / f"{stem}.tsv", lambda p: read_anonymised(p, labels=("0", "1"))
        if path.is_file():
            parts[part] = read(path)
    return parts


def _original(folder: Path) -> dict[str, list[Document]]:
    parts = {}
    for part, names in (("train", "training"), ("validation", "development"), ("test", "test")):
        stem = next(iter(sorted(folder.glob(f"*_{names}_abstracts.tsv*"))), None)
        if stem is None:
            continue
        other = [
            stem.parent / (stem.name.split("_abstracts")[0] + f"_{kind}.tsv") for kind in ("entities", "relations")
        ]
        entities, relations = (path if path.is_file() else None for path in other)
        parts[part] = [
            sentence
            for document in read_original(stem, entities, relations, missing="skip")
            for sentence in split_document(document)
        ]
    return parts


def _in_part(document: Document, part: str) -> Document:
    from dataclasses import replace

    return replace(document, id=f"{part}-{document.id}", group=f"{part}-{document.group}")


def _relabelled(document: Document, known: tuple[str, ...], renamed: dict[str, str], root: Path) -> Document:
    """The document with its relations' labels renamed; those of ChemProt's groups taken from their remarks."""
    from dataclasses import replace

    groups = {x.target: x.value.split() for x in document.remarks if x.type == "group"}
    relations = []
    for relation in document.relations:
        label = renamed.get(relation.type, relation.type)
        if relation.id in groups:
            group, evaluated = groups[relation.id]
            if evaluated != "Y":
                continue  # not of the task: a regulator of no kind, a part, a negation
            label = group if group in known else label
        if label not in known:
            message = expected(f"the relation {relation.id}", "of a known type", label, available=known)
            raise DataError(f"{document.id}: {message}", path=root)
        relations.append(replace(relation, type=label))
    return replace(document, relations=tuple(relations))


def split_document(document: Document) -> list[Document]:
    """A document a sentence, ids kept, offsets moved. Relations across sentences are left out; a warning counts them."""
    from dataclasses import replace

    found, inside = [], set()
    for number, sentence in enumerate(sentences(document.text)):
        start, end = sentence.start, sentence.end
        spans = tuple(
            replace(span, pieces=tuple((a - start, b - start) for a, b in span.pieces))
            for span in document.spans
            if start <= span.start and span.end <= end
        )
        ids = {span.id for span in spans}
        relations = tuple(r for r in document.relations if r.first in ids and r.second in ids)
        inside |= {r.id for r in relations}
        remarks = tuple(x for x in document.remarks if x.target in ids | {r.id for r in relations})
        text = document.text[start:end]
        found.append(Document(f"{document.id}.s{number}", text, spans, relations, (), remarks, document.group))
    if lost := [r.id for r in document.relations if r.id not in inside]:
        warnings.warn(f"{document.id}: {len(lost)} relations across sentences left out: {lost}.", stacklevel=2)
    return found


def examples(
    documents: Iterable[Document], *, negatives: bool = False, types: Sequence[tuple[str, str]] | None = None
) -> list[Example]:
    """Every annotated relation between two spans as an Example, in the documents' order.

    ``negatives``: also each pair of spans without a relation, in the order of the text, labelled "false"; a pair that is
    related in either direction is none. ``types``: only negatives of these pairs of types, in either order.
    """
    found = []
    for document in documents:
        related = set()
        for relation in document.relations:
            spans = {span.id: span for span in document.spans}
            if relation.first not in spans or relation.second not in spans:
                continue  # between events
            pair = spans[relation.first], spans[relation.second]
            related |= {(relation.first, relation.second), (relation.second, relation.first)}
            name = f"{document.id}.{relation.id}"
            found.append(Example(name, document.group or document.id, document.text, *pair, relation.type))
        if not negatives:
            continue
        for one, other in itertools.combinations(sorted(document.spans, key=lambda s: (s.start, s.end)), 2):
            wanted = types is None or (one.type, other.type) in types or (other.type, one.type) in types
            if wanted and (one.id, other.id) not in related:
                name = f"{document.id}.{one.id}-{other.id}"
                found.append(Example(name, document.group or document.id, document.text, one, other, NEGATIVE))
    return found


def several_labels(found: Iterable[Example]) -> dict[tuple, list[Example]]:
    """Pairs of the same places in the same text that have more than one label, by (text, first pieces, second pieces)."""
    by_pair: dict[tuple, list[Example]] = defaultdict(list)
    for example in found:
        by_pair[example.text, example.first.pieces, example.second.pieces].append(example)
    return {pair: same for pair, same in by_pair.items() if len({x.label for x in same}) > 1}


def label_counts(found: Iterable[Example], labels: Sequence[str]) -> dict[str, int]:
    """How many examples each label has, in the labels' order."""
    n = Counter(example.label for example in found)
    return {label: n[label] for label in labels}


def check(name: str, *, data_root: str | Path | None = None, sample: bool = False) -> dict[str, object]:
    """What lies there of a corpus, read whole: counts by part, pairs with several labels, and its known faults."""
    root = find_root(name, data_root=data_root, sample=sample)
    found: dict[str, object] = {"folder": str(root)}
    for form in FORMS[name]:
        if not _lies_there(name, form, root):
            continue
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            corpus = read_relations(name, data_root=data_root, sample=sample, form=form)
        for part, documents in corpus.parts.items():
            where = f"{form}, {part}: " if part != "all" else f"{form}: "
            found |= {where + what: n for what, n in counts(documents).items()}
            if several := several_labels(examples(documents)):
                found[where + "pairs with several labels"] = len(several)
        found |= {
            f"{form}, left out {i}": str(w.message) for i, w in enumerate(told, 1) if "left out" in str(w.message)
        }
    faults = KNOWN_FAULTS if name == "ddi" and f"{FORMS[name][0]}, train: documents" in found else ()
    return found | {
        "offenders": "none" + "".join(f", but for the known {fault} (offsets taken)" for fault in sorted(faults))
    }
