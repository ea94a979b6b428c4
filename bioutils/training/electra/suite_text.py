"""The text that the suite's corpora hold for pre-training, and the texts of their test parts, which must stay unseen."""

import itertools
from collections.abc import Iterator
from pathlib import Path

from bioutils.corpora import find_root, load
from bioutils.corpora.entities import TYPES, read_entities
from bioutils.corpora.pubmed import read_abstracts
from bioutils.corpora.relations import FORMS, read_relations
from bioutils.errors import DataError, UsageError, expected
from bioutils.files import atomic_folder, read_json, read_lines

NOT_FOR_COMMERCE = ("pgxcorpus", "ddi")  # CC BY-NC: a model trained on them could not be given away freely
OTHERS = ("go", "abstracts", "unlabelled")
LEFT_OUT = "left-out.txt"


def training_text(name: str, *, data_root: Path | None = None, sample: bool = False) -> Iterator[list[str]]:
    """The documents of a corpus' training part, each a list of sentences or paragraphs.

    Names: the entity and relation corpora but those not for commerce, ``go`` (definitions), ``abstracts``, ``unlabelled``.
    Raises DataError for what is not there.
    """
    where = {"data_root": data_root, "sample": sample}
    if name in TYPES:
        sentences = read_entities(name, repairs=[], **where).parts.get("train", [])
        for _, document in itertools.groupby(enumerate(sentences), key=lambda row: row[1].document or row[0]):
            yield [" ".join(s.tokens) for _, s in document]
    elif name in FORMS:
        for document in read_relations(name, **where).parts.get("train", []):
            yield [document.text]
    elif name == "go":
        for definition in _definitions(test=False, **where):
            yield [definition]
    elif name == "abstracts":
        yield from _abstracts(find_root(name, **where))
    elif name == "unlabelled":
        yield [line for _, line in read_lines(_root(name, **where) / "sentences.txt.gz")]
    else:
        raise UsageError(expected("corpus", "a known one", name, available=[*TYPES, *FORMS, *OTHERS]))


def _root(name: str, *, data_root: Path | None, sample: bool) -> Path:
    """The corpus' folder; the unlabelled text, which is no corpus to load, lies beside them."""
    if name != "unlabelled":
        return find_root(name, data_root=data_root, sample=sample)
    root = Path(data_root) if data_root else find_root("go", sample=sample).parent
    if not (root / name).is_dir():
        raise DataError("No such folder.", path=root / name)
    return root / name


def _abstracts(root: Path) -> Iterator[list[str]]:
    """Abstracts of PubMed XML and JSON lines, and PubMedQA's contexts, as they lie in the corpus' folder."""
    for path in sorted([*root.glob("*.xml"), *root.glob("**/*.jsonl"), *root.glob("**/*.jsonl.gz")]):
        for abstract in read_abstracts(path):
            yield [text for text in (abstract.title, abstract.text) if text]
    for path in sorted(root.glob("pubmedqa*.json")):
        for record in read_json(path).values():
            yield [record["QUESTION"], *record["CONTEXTS"], record["LONG_ANSWER"]]


def _definitions(*, test: bool, **where) -> list[str]:
    """Definitions outside the test parts of both splits under the default seed, or inside one of them."""
    parts = [load("go", split=split, **where) for split in ("random", "grouped")]
    tested = {text for part in parts for text in part["test"]["text"][:]}
    if test:
        return sorted(tested)
    return [t for part in ("train", "validation", "test") for t in parts[0][part]["text"][:] if t not in tested]


def unseen_text(name: str, *, data_root: Path | None = None, sample: bool = False) -> Iterator[str]:
    """The sentences of a corpus' test part; of a corpus that is tested by folds, all."""
    where = {"data_root": data_root, "sample": sample}
    if name in TYPES:
        yield from (" ".join(s.tokens) for s in read_entities(name, repairs=[], **where).parts.get("test", []))
    elif name in FORMS:
        parts = read_relations(name, **where).parts
        yield from (document.text for document in parts.get("test", parts.get("all", [])))
    elif name == "go":
        yield from _definitions(test=True, **where)


def gather(out: Path, *, data_root: Path | None = None, sample: bool = False) -> dict[str, int]:
    """Writes ``<corpus>.txt`` a corpus at hand, documents apart by blank lines, and the test texts to ``left-out.txt``.

    Returns the number of documents by corpus, and of test texts under "left-out.txt". Raises DataError where nothing is at hand.
    """
    counts: dict[str, int] = {}
    where = {"data_root": data_root, "sample": sample}
    with atomic_folder(out) as folder, (folder / LEFT_OUT).open("w", encoding="utf-8") as left_out:
        for name in (*TYPES, *FORMS, *OTHERS):
            try:
                _root(name, **where)
            except DataError:
                continue  # not at hand; the counts say which are
            tests = [" ".join(text.split()) for text in unseen_text(name, **where)]
            documents = [] if name in NOT_FOR_COMMERCE else list(training_text(name, **where))
            left_out.writelines(f"{text}\n" for text in tests)
            counts[LEFT_OUT] = counts.get(LEFT_OUT, 0) + len(tests)
            if documents:
                text = "\n".join("".join(" ".join(s.split()) + "\n" for s in document) for document in documents)
                (folder / f"{name}.txt").write_text(text, encoding="utf-8")
                counts[name] = len(documents)
        if not set(counts) - {LEFT_OUT}:
            raise DataError("No corpus is at hand. Fetch some (bioutils data fetch NAME), or take the sample.")
    return counts
