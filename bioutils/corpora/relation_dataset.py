"""A relation corpus as texts with labels, so that whatever trains on texts trains on relations too."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bioutils.corpora import corpus, splits
from bioutils.corpora.marking import mark
from bioutils.corpora.relations import examples, read_relations
from bioutils.errors import UsageError, expected
from bioutils.files import atomic_writer

if TYPE_CHECKING:
    from datasets import DatasetDict


def relation_dataset(
    name: str,
    *,
    data_root: str | Path | None = None,
    sample: bool = False,
    split: str = "random",
    seed: int = 42,
    train_size: int = 0,
    eval_size: int = 0,
    marking: str = "enclose",
) -> "DatasetDict":
    """``DatasetDict(train, validation, test)`` with columns ``id, group, text, label``; the text has its two entities marked.

    ``split``: random, grouped (an abstract on one side) or published (the corpus' own parts; where it has no validation part, a
    tenth of the training rows by abstract). Raises UsageError for a published split of a corpus that has none.
    """
    from datasets import ClassLabel, Dataset, DatasetDict, DatasetInfo, Features, Value

    known = read_relations(name, data_root=data_root, sample=sample)
    found, where = [], []
    for part, documents in known.parts.items():
        here = examples(documents)
        found += here
        where += [part] * len(here)
    labels = np.array([known.labels.index(example.label) for example in found])
    groups = np.array([example.group for example in found])
    if split == "random":
        parts = splits.stratified(labels, seed=seed)
    elif split == "grouped":
        parts = splits.grouped(labels, np.unique(groups, return_inverse=True)[1], seed=seed)
    elif split == "published":
        parts = _published(name, np.array(where), labels, groups, seed)
    else:
        raise UsageError(expected("split", "a known one", split, available=["random", "grouped", "published"]))
    types = {"id": Value("string"), "group": Value("string"), "text": Value("string")}
    features = Features(types | {"label": ClassLabel(names=list(known.labels))})
    info = DatasetInfo(
        features=features, description=f"{name}, {known.form}, {len(found)} pairs, marking {marking}",
        license=corpus(name).licence, citation=corpus(name).citation,
    )  # fmt: skip
    sizes = {"train": train_size, "validation": eval_size, "test": eval_size}
    made = DatasetDict()
    for part, rows in parts._asdict().items():
        rows = splits.subsample(rows, labels, sizes[part], seed=seed)
        columns = {
            "id": [found[i].id for i in rows],
            "group": [found[i].group for i in rows],
            "text": [mark(found[i], marking).text for i in rows],
            "label": labels[rows],
        }
        made[part] = Dataset.from_dict(columns, features=features, info=info)
    return made


def _published(name: str, where: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int) -> splits.Split:
    if "test" not in where:
        raise UsageError(f"{name} has no published test part. Take split='grouped', or folds (notebook 09).")
    train, validation, test = (np.flatnonzero(where == part) for part in ("train", "validation", "test"))
    if not len(validation):
        train, validation = splits.hold_out(train, labels, groups, seed=seed)
    return splits.Split(train, validation, test)


def export_tsv(dataset: "DatasetDict", folder: Path | str) -> list[Path]:
    """``train.tsv``, ``dev.tsv`` (text, label) and ``test.tsv`` (index, sentence, label, with a header), for other tools.

    White space inside a text becomes one blank, so that a row stays a row.
    """
    names, paths = dataset["train"].features["label"].names, []
    for part, file in (("train", "train.tsv"), ("validation", "dev.tsv"), ("test", "test.tsv")):
        rows = zip(dataset[part]["text"][:], dataset[part]["label"][:], strict=True)
        lines = [(" ".join(text.split()), names[label]) for text, label in rows]
        if part == "test":
            lines = [("index", "sentence", "label"), *((str(i), *line) for i, line in enumerate(lines))]
        paths.append(Path(folder) / file)
        with atomic_writer(paths[-1]) as stream:
            stream.writelines("\t".join(line) + "\n" for line in lines)
    return paths
