"""Corpora by name: where they lie, what they hold, and how they become a DatasetDict."""

import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bioutils.errors import DataError, UsageError, expected
from bioutils.files import sha256

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd
    from datasets import DatasetDict


@dataclass(frozen=True)
class Release:
    """A file to download: where to, below the corpus' folder, from where, and its checksum where the address never changes."""

    path: str
    url: str
    sha256: str | None = None


@dataclass(frozen=True)
class Corpus:
    """What a corpus is, the files it may lie in (the first that exists counts), and its official release.

    A file of another name is taken if it alone in the folder has one of the ``endings``.
    """

    name: str
    task: str
    files: tuple[str, ...]
    licence: str
    citation: str
    releases: tuple[Release, ...] = ()  # none: to be got by hand
    endings: tuple[str, ...] = ()
    sample: str = ""  # the folder of its sample, where it is not the corpus' name


GITHUB = "https://raw.githubusercontent.com"
CHEMPROT_SENTENCES = (
    f"{GITHUB}/hafianewalid/Transfer-Learning-Architectures-for-Biomedical-Relation-Extraction/"
    "77501f65e9a1db1bc9028da4c3884df6d8724ad4/data/chemprot"
)
BIO_ELECTRA = f"{GITHUB}/etetteh/bio-electra/cbce0521063933d723fc1300a9ec9d9261670b0c/downstream"

CORPORA = {
    corpus.name: corpus
    for corpus in (
        Corpus(
            "go",
            "aspects of Gene Ontology definitions",
            ("go-basic.obo", "go-basic.obo.gz", "go.obo", "go-subset.obo.gz", "go-sample.obo"),
            "CC BY 4.0",
            "Ashburner et al. 2000, Nature Genetics 25:25; Gene Ontology Consortium 2023, Genetics 224:iyad031",
            (Release("go-basic.obo", "https://purl.obolibrary.org/obo/go/go-basic.obo"),),
            (".obo", ".obo.gz"),
        ),
        Corpus(
            "abstracts",
            "abstracts to score",
            ("abstracts.xml", "pubmed5.xml"),
            "abstracts: terms of NLM; the sample: MIT",
            "PubMed, National Library of Medicine",
        ),
        Corpus(
            "pgxcorpus",
            "pharmacogenomic entities and relations, brat",
            ("PGxCorpus.tar.gz", "PGxCorpus.tar"),
            "CC BY-NC 4.0: not for commerce",
            "Legrand et al. 2020, Scientific Data 7:3",
            (
                Release(
                    "PGxCorpus.tar",
                    f"{GITHUB}/practikpharma/PGxCorpus/067513c1ed0ad55c28e62aef5a5bc14b6945595e/PGxCorpus.tar",
                    "615d2a3b33c2d86b78b2e833b586e53280cb91736c359796f772b92d519c5462",
                ),
            ),
        ),
        Corpus(
            "chemprot",
            "chemical–protein relations",
            ("sentences/train.txt", "original/chemprot_training_abstracts.tsv", "blurb/dev.tsv"),
            "research use (BioCreative VI)",
            "Krallinger et al. 2017, BioCreative VI",
            tuple(
                Release(f"sentences/{part}.txt", f"{CHEMPROT_SENTENCES}/{part}.txt", digest)
                for part, digest in (
                    ("train", "ab17b85c4fb869b2338d7c9617414e63f3c7225e5005920b18d9cd996f1049d8"),
                    ("dev", "bfe8f39e5146ad4bb16b23707dade850546a305047bc666f6f6824c6a7e3df2f"),
                    ("test", "372249c85ffea6d9a18dc5168cf45841b3d79b03412d6c620381cfc0dd3d6d49"),
                )
            ),
        ),
        Corpus(
            "gad",
            "gene–disease associations",
            ("train.tsv",),
            "research use",
            "Bravo et al. 2015, BMC Bioinformatics 16:55; split of BLURB (Gu et al. 2021)",
            tuple(
                Release(f"{part}.tsv", f"{BIO_ELECTRA}/gad/{part}.tsv", digest)
                for part, digest in (
                    ("train", "36d2c4eb6104c4457da222c0b22815e1a03705382add6b9e53cc5840a6d47dd4"),
                    ("dev", "2dd999dcb5ef80cd94e82ed340b5eaf706957431dc587677400e40d86a077517"),
                    ("test", "aad9ff90b4b1614421bf844281b5048a413b71c655a31cfd23810d43e485d3d5"),
                )
            ),
        ),
        Corpus(
            "ddi",
            "drug–drug interactions",
            ("corpus/DDICorpus-2013.zip", "train.tsv"),
            "CC BY-NC 4.0: not for commerce",
            "Herrero-Zazo et al. 2013, J Biomed Inform 46:914",
            (
                Release(
                    "corpus/DDICorpus-2013.zip",
                    f"{GITHUB}/isegura/DDICorpus/819b0fa538ed83ab2a8b4f5417bba3c03249b7f3/DDICorpus-2013.zip",
                    "87fc63e32ebce20d9841c372e0c594ec72d60882ab5621550ca73c3eaf80ab60",
                ),
            ),
        ),
        Corpus(
            "snpphena",
            "SNP–phenotype associations, brat",
            ("SNPPhenA.tar.gz",),
            "research use",
            "Bokharaeian et al. 2017, J Biomed Semantics 8:14",
        ),
        Corpus(
            "fgen",
            "functional genomics: tags, links, two annotators",
            ("mae-xml.tar.gz",),
            "MIT",
            "github.com/cambridgeltl/functional-genomics-ie",
            sample="mae",
        ),
        Corpus(
            "jnlpba",
            "proteins, DNA, RNA, cell lines and types",
            ("Genia4ERtask2.iob2", "derived/train-derived.tsv.gz", "train.tsv"),
            "GENIA Project Licence for Annotated Corpora",
            "Kim et al. 2004, BioNLP/NLPBA shared task",
            sample="ner",
        ),
        *(
            Corpus(name, task, ("train.tsv",), licence, citation)
            for name, task, licence, citation in (
                ("ncbi-disease", "diseases", "public domain", "Doğan, Leaman, Lu 2014, J Biomed Inform 47"),
                ("bc5cdr-chem", "chemicals", "research use", "Li et al. 2016, Database baw068"),
                ("bc5cdr-disease", "diseases", "research use", "Li et al. 2016, Database baw068"),
                ("bc2gm", "genes", "research use (BioCreative II)", "Smith et al. 2008, Genome Biology 9"),
                ("bc4chemd", "chemicals", "research use (BioCreative IV)", "Krallinger et al. 2015, J Cheminform 7:S2"),
                ("linnaeus", "species", "CC BY 3.0", "Gerner, Nenadic, Bergman 2010, BMC Bioinformatics 11"),
                ("anatem", "anatomical entities", "CC BY-SA 3.0", "Pyysalo, Ananiadou 2014, Bioinformatics 30"),
            )
        ),
        Corpus(
            "s800",
            "species",
            ("original-standoff.tar.gz", "train.tsv"),
            "not stated: research use",
            "Pafilis et al. 2013, PLoS ONE 8(6):e65390",
        ),
    )
}


def corpus(name: str) -> Corpus:
    """The corpus of that name. Raises UsageError for an unknown one."""
    if name not in CORPORA:
        close = difflib.get_close_matches(str(name).lower(), CORPORA, n=1)
        remedy = f"Did you mean {close[0]!r}?" if close else ""
        raise UsageError(expected("corpus", "a known one", name, available=CORPORA, remedy=remedy))
    return CORPORA[name]


def project_data() -> Path:
    """The project's ``data`` folder: beside the package in a checkout, else in the working folder."""
    beside = Path(__file__).resolve().parents[2] / "data"
    return beside if beside.is_dir() else Path.cwd() / "data"


def find_root(name: str, *, data_root: str | Path | None = None, sample: bool = False) -> Path:
    """The corpus' folder: under ``data_root``, else ``$BIOUTILS_DATA``, then ``data/raw``; with ``sample`` in ``data/sample``.

    Raises UsageError for an unknown name, and DataError, with the command that fetches it, for one that is nowhere.
    """
    known = corpus(name)
    if sample:
        roots = [project_data() / "sample"]
    elif data_root:
        roots = [Path(data_root).expanduser()]
    else:
        roots = [Path(root) for root in [os.environ.get("BIOUTILS_DATA")] if root] + [project_data() / "raw"]
    folder = (known.sample or name) if sample else name
    for root in roots:
        if (root / folder).is_dir():
            return root / folder
    raise DataError(
        f"The corpus {name!r} is in none of {[str(r) for r in roots]}. {_way_to_get(known)}, "
        "set BIOUTILS_DATA to a folder that has it, or take the sample (sample=true)."
    )


def _way_to_get(known: Corpus) -> str:
    if known.releases:
        return f"Fetch it (bioutils data fetch {known.name})"
    return f"Put {' or '.join(known.files)} under data/raw/{known.name}"


def find_file(name: str, *, data_root: str | Path | None = None, sample: bool = False) -> Path:
    """The corpus' main file.

    Raises DataError naming the files that were looked for, and UsageError where several of other names could be meant.
    """
    root, known = find_root(name, data_root=data_root, sample=sample), corpus(name)
    for file in known.files:
        if (root / file).is_file():
            return root / file
    # A name that begins with a dot is a download that is not whole yet.
    others = [p for p in sorted(root.iterdir()) if p.name.endswith(known.endings) and not p.name.startswith(".")]
    if len(others) > 1:
        remedy = f"Keep one, or rename it to {known.files[0]}."
        raise UsageError(expected(f"{root}", f"a folder with one {name} file", [p.name for p in others], remedy=remedy))
    if others:
        return others[0]
    raise DataError(f"Expected one of {list(known.files)}, found none. {_way_to_get(known)}.", path=root)


def go_table(*, data_root: str | Path | None = None, sample: bool = False) -> "tuple[nx.MultiDiGraph, pd.DataFrame]":
    """The ontology's graph of live terms and its table of definitions (``obo.read_graph``, ``obo.term_table``)."""
    from bioutils.corpora import obo

    graph = obo.read_graph(find_file("go", data_root=data_root, sample=sample))
    return graph, obo.term_table(graph)


def load(
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
    """The corpus as ``DatasetDict(train, validation, test)`` with columns ``go_id, name, text, label``.

    70, 10 and 20 % of the rows, stratified by label; ``split="grouped"`` keeps near copies in one part. ``train_size``
    and ``eval_size`` (validation and test, each) draw fewer rows, stratified; 0 takes all. The label is a ClassLabel in
    the order biological_process, cellular_component, molecular_function; ``info.description`` names file, release and checksum.
    Corpora of relations: ``relation_dataset`` says which columns and splits, and how ``marking`` shows the two entities.
    Raises UsageError on a size that is not there.
    """
    from datasets import ClassLabel, Dataset, DatasetDict, DatasetInfo, Features, Value

    from bioutils.corpora import splits
    from bioutils.corpora.obo import ASPECTS
    from bioutils.corpora.relations import FORMS

    sizes = {"train": train_size, "validation": eval_size, "test": eval_size}
    if corpus(name).name in FORMS:
        from bioutils.corpora.relation_dataset import relation_dataset

        return relation_dataset(
            name, data_root=data_root, sample=sample, split=split, seed=seed, train_size=train_size, eval_size=eval_size,
            marking=marking,
        )  # fmt: skip
    if name != "go":
        raise UsageError(expected("corpus", "one with labels", name, available=["go", *FORMS]))
    if split not in ("random", "grouped"):
        raise UsageError(expected("split", "a known one", split, available=["random", "grouped"]))
    graph, table = go_table(data_root=data_root, sample=sample)
    labels = table["aspect"].map({aspect: i for i, aspect in enumerate(ASPECTS)}).to_numpy()
    if split == "random":
        parts = splits.stratified(labels, seed=seed)
    else:
        groups = splits.near_copy_groups(table["name"], table["definition"])
        parts = splits.grouped(labels, groups, seed=seed)
    rows = table.rename(columns={"definition": "text"})[["go_id", "name", "text"]].assign(label=labels)
    features = Features(
        {
            "go_id": Value("string"),
            "name": Value("string"),
            "text": Value("string"),
            "label": ClassLabel(names=list(ASPECTS)),
        }
    )
    file = Path(graph.graph["path"])
    version = f"{file.name}, {graph.graph['data-version'] or 'no data-version'}, sha256 {sha256(file)[:12]}"
    info = DatasetInfo(
        features=features, description=version, license=corpus(name).licence, citation=corpus(name).citation
    )
    return DatasetDict(
        {
            part: Dataset.from_pandas(
                rows.iloc[splits.subsample(numbers, labels, sizes[part], seed=seed)],
                features=features,
                info=info,
                preserve_index=False,
            )
            for part, numbers in parts._asdict().items()
        }
    )


def check(
    name: str, *, data_root: str | Path | None = None, sample: bool = False, file: Path | None = None
) -> dict[str, Any]:
    """Counts of a corpus (or of one ``file`` of it), read whole. Raises DataError, with the offenders, when it is broken."""
    from bioutils.corpora import entities, mae, relations

    if name == "fgen":
        return mae.check(find_root(name, data_root=data_root, sample=sample), sample=sample)
    if name in entities.TYPES:
        return entities.check(name, data_root=data_root, sample=sample)
    if name in relations.FORMS:
        return relations.check(name, data_root=data_root, sample=sample)
    path = file or find_file(name, data_root=data_root, sample=sample)
    counts = _go_counts(path) if name == "go" else _abstract_counts(path)
    return {"file": str(path), "sha256": sha256(path), **counts}


def _go_counts(path: Path) -> dict[str, Any]:
    from bioutils.corpora import obo

    graph = obo.read_graph(path)
    table = obo.term_table(graph)
    facts = ("data-version", "n_obsolete", "n_foreign", "n_stubs", "n_lost_is_a")
    return {key: graph.graph[key] for key in facts} | {
        "n_undefined": table.attrs["n_undefined"],
        "n_repeated_definitions": int(table["definition"].duplicated().sum()),
        "terms": len(table),
        "is_a": sum(key == "is_a" for *_, key in graph.edges(keys=True)),
        **table["aspect"].value_counts().to_dict(),
    }


def _abstract_counts(path: Path) -> dict[str, Any]:
    from bioutils.corpora.pubmed import read_abstracts

    records = list(read_abstracts(path))
    return {"records": len(records), "without_text": sum(not r.text for r in records)}
