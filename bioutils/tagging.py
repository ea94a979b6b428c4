"""Abstracts in, entities out: a trained tagger on files, with offsets into the text they came with."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bioutils.corpora.pubmed import as_document, check_inputs, numbered, read_in_chunks
from bioutils.corpora.records import Document, Remark, Span
from bioutils.corpora.tags import to_spans
from bioutils.corpora.units import unit_places
from bioutils.errors import BioutilsError
from bioutils.taggers import Tagger, load_tagger
from bioutils.tagging_output import SCORE, check_output, write_documents
from bioutils.text import sentences

CHUNK = 256  # abstracts tagged together: enough sentences to sort by length


@dataclass(frozen=True)
class Summary:
    """What tag_files did."""

    n_documents: int
    n_entities: dict[str, int]
    n_without_text: int
    out: Path


def tag_documents(documents: Sequence[Document], tagger: Tagger) -> list[Document]:
    """The documents with the entities found in them in place of their own annotations, each with a remark of its probability.

    Sentences are tagged one by one; an entity begins and ends where runs of letters and digits do. The probability is the
    mean over its units.
    """
    pieces, places = [], []
    for number, document in enumerate(documents):
        start = 0
        for line in document.text.split("\n"):  # a title has no full stop, and is no part of the first sentence
            for sentence in sentences(line):
                here = unit_places(document.text, start + sentence.start, start + sentence.end)
                if here:
                    pieces.append((number, here))
                    places.append([document.text[a:b] for a, b in here])
            start += len(line) + 1
    found: list[list[tuple[int, int, str, float]]] = [[] for _ in documents]
    tags, sure = tagger.tag_units(places)
    for (number, here), line, chance in zip(pieces, tags, sure, strict=True):
        found[number] += [
            (here[s.start][0], here[s.end - 1][1], s.type, float(chance[s.start : s.end].mean()))
            for s in to_spans(line, tagger.scheme)
        ]
    return [_annotated(document, entities) for document, entities in zip(documents, found, strict=True)]


def _annotated(document: Document, entities: Iterable[tuple[int, int, str, float]]) -> Document:
    spans, remarks = [], []
    for i, (start, end, kind, sure) in enumerate(entities, 1):
        spans.append(Span(f"T{i}", kind, ((start, end),), document.text[start:end]))
        remarks.append(Remark(f"A{i}", SCORE, f"T{i}", f"{sure:.4f}"))
    return Document(document.id, document.text, tuple(spans), remarks=tuple(remarks), group=document.group)


def tag_files(
    inputs: Sequence[Path | str],
    out: Path | str,
    *,
    model: str | Path,
    columns: dict[str, str] | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Summary:
    """Tags every abstract of ``inputs`` into ``out``, in the format of its ending (``tagging_output``).

    A repeated id gets a number behind it, so that no document replaces another. Nothing is written before all is tagged.
    Raises UsageError where ``out`` exists or is an input, and for a folder without a tagger.
    """
    from tqdm import tqdm

    inputs, out = [Path(p) for p in inputs], Path(out)
    check_output(inputs, out, overwrite=overwrite)
    check_inputs(inputs)
    tagger = load_tagger(model)
    seen: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    n_empty = 0

    def tagged(bar: tqdm) -> Iterator[Document]:
        nonlocal n_empty
        for chunk in read_in_chunks(inputs, columns=columns, size=CHUNK):
            documents = []
            for abstract in chunk:
                n_empty += not abstract.text.strip()
                documents.append(as_document(numbered(abstract, seen)))
            for document in tag_documents(documents, tagger):
                kinds.update(span.type for span in document.spans)
                yield document
            bar.update(len(chunk))
        if not seen:
            raise BioutilsError(f"No abstract was found in {[str(p) for p in inputs]}. Nothing was written.")

    with tqdm(unit=" abstracts", disable=None if progress else True) as bar:
        write_documents(tagged(bar), out, types=tagger.types)
    return Summary(seen.total(), dict(kinds.most_common()), n_empty, out)
