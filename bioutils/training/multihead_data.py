"""The annotated documents that a configuration of several heads names: read, known again, kept apart from those of training."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

from bioutils.annotators import Annotator
from bioutils.corpora.conversion import read
from bioutils.corpora.records import Document
from bioutils.corpora.word_json import read_categories
from bioutils.errors import UsageError
from bioutils.training.multihead_config import Data

SHOWN = 5  # abstracts named in an error; all are counted


def documents_of(data: Data) -> list[Document]:
    """The annotated documents that a configuration names."""
    categories = read_categories(data.categories) if data.categories else None
    found = read(data.source, categories=categories)
    found = [d for d in found if d.links] if data.linked_only else found
    if not found:
        raise UsageError(f"{data.source} has no {'linked ' if data.linked_only else ''}document.")
    return found


def data_sha256(documents: Sequence[Document]) -> str:
    """The SHA-256 of documents as they were read, from whatever file: texts, tags, values, links, ids and their order."""
    digest = hashlib.sha256()
    for document in documents:
        there = {name: value for name, value in asdict(document).items() if value}  # an empty field is as none
        digest.update(json.dumps(there, ensure_ascii=False, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def check_new(documents: Sequence[Document], annotator: Annotator, name: str) -> None:
    """Makes sure that no document is of an abstract that the annotator was trained on. Raises UsageError that names some."""
    if not annotator.groups:
        print(f"{name} was saved without the names of its training abstracts: whether these are others is not known")
    there = {document.group or document.id for document in documents}
    if known := sorted(there & set(annotator.groups)):
        some = ", ".join(known[:SHOWN]) + (", …" if len(known) > SHOWN else "")
        raise UsageError(
            f"Expected test to hold abstracts that {name} was not trained on, found {len(known)} of {len(there)} that it was "
            f"({some}). Give others, or set test.known: true where this is meant."
        )
