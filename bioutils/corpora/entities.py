"""Entity corpora by name: their parts as tagged sentences, their types, and the labels in a fixed order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bioutils.corpora import find_root
from bioutils.corpora.brat import read_brat
from bioutils.corpora.conll import Repair, Sentence, entity_counts, read_conll
from bioutils.corpora.records import Document, Span
from bioutils.corpora.tags import TokenSpan, convert, from_spans
from bioutils.corpora.units import UNIT
from bioutils.errors import DataError, UsageError, expected
from bioutils.files import read_lines
from bioutils.text import sentences as split_sentences

# Each corpus' types. The order is that of the labels, which a model keeps.
TYPES = {
    "jnlpba": ("DNA", "RNA", "cell_line", "cell_type", "protein"),
    "ncbi-disease": ("Disease",),
    "bc5cdr-chem": ("Chemical",),
    "bc5cdr-disease": ("Disease",),
    "bc2gm": ("GENE",),
    "bc4chemd": ("Chemical",),
    "linnaeus": ("Species",),
    "s800": ("Species",),
    "anatem": ("Anatomy",),
}
# By part, the files that it may lie in, the first that is there counts; several joined by "+" are read one after another.
FILES = {
    "train": ("Genia4ERtask2.iob2", "Genia4ERtask1.iob2", "derived/train-derived.tsv.gz+devel.tsv", "train.tsv"),
    "validation": ("devel.tsv", "dev.tsv"),
    "test": ("derived/Genia4EReval2.iob2.gz", "Genia4EReval2.iob2", "Genia4EReval1.iob2", "test.tsv"),
}


@dataclass(frozen=True)
class EntityCorpus:
    """Sentences by part, in one scheme. ``lost``: entities that tags cannot hold (inside others, interrupted), by type."""

    name: str
    parts: dict[str, list[Sentence]]
    types: tuple[str, ...]
    scheme: str
    lost: dict[str, int]

    @property
    def labels(self) -> tuple[str, ...]:
        """O first, then each type's letters: the same in every process (a set's order is not)."""
        letters = {"IOB1": "BI", "IOB2": "BI", "IOBES": "BIES", "BILOU": "BILU"}[self.scheme]
        return ("O", *(f"{letter}-{kind}" for kind in self.types for letter in letters))


def read_entities(
    name: str,
    *,
    data_root: str | Path | None = None,
    sample: bool = False,
    scheme: str = "IOB2",
    repairs: list[Repair] | None = None,
) -> EntityCorpus:
    """The corpus of that name, every line checked, its tags in ``scheme``.

    JNLPBA's published training abstracts hold the 200 of ``devel.tsv``: where both lie there, these are the validation part and
    the others train. s800 is read from standoff with its split lists. ``repairs``: as in ``conll.read_conll``. Raises
    UsageError for an unknown corpus and DataError for what is not there or broken.
    """
    if name not in TYPES:
        raise UsageError(expected("corpus", "one of entities", name, available=TYPES))
    root = find_root(name, data_root=data_root, sample=sample)
    lost: dict[str, int] = {}
    if name == "s800" and not (root / "train.tsv").is_file():
        parts = _s800(root, lost)
    else:
        parts = {part: _read(root, files, TYPES[name], repairs) for part, files in FILES.items()}
        parts = {part: found for part, found in parts.items() if found}
    if not parts:
        raise DataError(f"Found none of {FILES['train'] + FILES['test']}. See the corpus' documentation.", path=root)
    if scheme != "IOB2":
        parts = {
            part: [replace(s, tags=tuple(convert(s.tags, "IOB2", scheme))) for s in found]
            for part, found in parts.items()
        }
    return EntityCorpus(name, parts, TYPES[name], scheme, lost)


def _read(root: Path, choices: Sequence[str], types: Sequence[str], repairs: list[Repair] | None) -> list[Sentence]:
    for choice in choices:
        file = choice.split("+")[0]  # what follows is the validation part, and is not trained on
        if (root / file).is_file():
            return read_conll(root / file, types=types, repairs=repairs)
    return []


def _s800(root: Path, lost: dict[str, int]) -> dict[str, list[Sentence]]:
    archive = next((root / f for f in ("original-standoff.tar.gz", "original-standoff") if (root / f).exists()), None)
    if archive is None:
        raise DataError("Expected original-standoff.tar.gz or train.tsv, found neither.", path=root)
    documents = {document.id: document for document in read_brat(archive)}
    parts = {}
    for part, file in (("train", "train"), ("validation", "devel"), ("test", "test")):
        wanted = [line.strip() for _, line in read_lines(root / "split" / f"{file}.txt") if line.strip()]
        missing = [pmid for pmid in wanted if pmid not in documents]
        if missing:
            raise DataError(f"{len(missing)} abstracts are not in {archive.name}: {missing[:5]}.", path=root / "split")
        parts[part] = [s for pmid in wanted for s in tagged(documents[pmid], types=TYPES["s800"], lost=lost)]
    return parts


def tagged(document: Document, *, types: Iterable[str] = (), lost: dict[str, int] | None = None) -> list[Sentence]:
    """A document's sentences as tokens and IOB2 tags of its spans of these types (all where empty).

    Tokens are words and single signs, cut at every span's borders too, so that no span is lost to a token. Tags hold one span
    a token: of spans inside or across each other the longest stays, of interrupted ones none; what goes is counted by
    type in ``lost``, as are spans across two sentences.
    """
    kinds = set(types)
    spans = [span for span in document.spans if not kinds or span.type in kinds]
    kept = _apart(spans, lost)
    cuts = {edge for span in kept for edge in (span.start, span.end)}
    found = []
    for sentence in split_sentences(document.text):
        tokens = list(_tokens(document.text, sentence.start, sentence.end, cuts))
        inside = [span for span in kept if sentence.start <= span.start and span.end <= sentence.end]
        places = []
        for span in inside:
            covered = [i for i, (start, end) in enumerate(tokens) if span.start <= start and end <= span.end]
            if covered:
                places.append(TokenSpan(covered[0], covered[-1] + 1, span.type))
            else:
                _count(lost, span)
        words = tuple(document.text[start:end] for start, end in tokens)
        if words:
            found.append(Sentence(words, tuple(from_spans(places, len(words))), document.id))
        kept = [span for span in kept if span not in inside]
    for span in kept:  # across two sentences
        _count(lost, span)
    return found


def _apart(spans: Sequence[Span], lost: dict[str, int] | None) -> list[Span]:
    taken: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start - s.end, s.start)):  # long before short
        if len(span.pieces) > 1 or any(span.start < other.end and other.start < span.end for other in taken):
            _count(lost, span)
        else:
            taken.append(span)
    return sorted(taken, key=lambda s: s.start)


def _count(lost: dict[str, int] | None, span: Span) -> None:
    if lost is not None:
        lost[span.type] = lost.get(span.type, 0) + 1


def _tokens(text: str, start: int, end: int, cuts: set[int]) -> Iterable[tuple[int, int]]:
    for match in UNIT.finditer(text, start, end):
        edges = [match.start(), *sorted(c for c in cuts if match.start() < c < match.end()), match.end()]
        yield from zip(edges, edges[1:], strict=False)


def check(name: str, *, data_root: str | Path | None = None, sample: bool = False) -> dict[str, object]:
    """What lies there of a corpus, read whole: sentences, tokens, documents and entities by part, and what was lost or mended."""
    repairs: list[Repair] = []
    corpus = read_entities(name, data_root=data_root, sample=sample, repairs=repairs)
    found: dict[str, object] = {"folder": str(find_root(name, data_root=data_root, sample=sample))}
    for part, sentences in corpus.parts.items():
        found[f"{part}: sentences"] = len(sentences)
        found[f"{part}: tokens"] = sum(len(s.tokens) for s in sentences)
        found[f"{part}: documents"] = len({s.document for s in sentences} - {""})
        found |= {f"{part}: {kind}": n for kind, n in entity_counts(sentences).items()}
    found |= {f"not in tags: {kind}": n for kind, n in corpus.lost.items()}
    return found | {"sentences with illegal tags, mended": len(repairs)}
