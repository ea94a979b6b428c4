"""Tagged documents on disk: JSON lines, brat, BioC JSON, or a page with coloured spans."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bioutils.corpora.bioc import write_bioc
from bioutils.corpora.brat import write_brat
from bioutils.corpora.records import Document
from bioutils.entity_page import entity_page
from bioutils.errors import BioutilsError, UsageError, expected
from bioutils.files import atomic_folder, atomic_writer, check_unharmed, safe_name

SCORE = "Score"  # the type of the remark that holds an entity's probability
FORMATS = {".jsonl": "a line a document", ".json": "BioC JSON", ".html": "a page", "/": "a folder for brat"}


def is_folder(out: Path) -> bool:
    """Whether ``out`` names a folder for brat: a name without an ending."""
    return not out.suffix


def check_output(inputs: Sequence[Path], out: Path, *, overwrite: bool) -> None:
    """Makes sure that the format is known and that nothing is overwritten unasked. Raises UsageError."""
    if not is_folder(out) and out.suffix.lower() not in FORMATS:
        known = [f"{ending} ({what})" for ending, what in FORMATS.items()]
        remedy = "For brat name a folder, without an ending." if out.suffix == ".ann" else ""
        raise UsageError(
            expected("--out", "a file or folder of a known format", out.name, available=known, remedy=remedy)
        )
    check_unharmed([out], inputs, overwrite=overwrite)
    if out.exists() and out.is_dir() != is_folder(out):
        raise UsageError(f"{out} is {'a folder' if out.is_dir() else 'a file'}. Choose another --out.")
    if out.is_dir() and (others := sorted(p.name for p in out.iterdir() if p.suffix not in (".txt", ".ann"))):
        raise UsageError(f"{out} holds more than brat's files ({others[0]}): it is not replaced. Choose another --out.")


def as_line(document: Document) -> dict[str, Any]:
    """``{"id", "text", "entities": [{"start", "end", "text", "type", "score"}]}``."""
    scores = {remark.target: float(remark.value) for remark in document.remarks if remark.type == SCORE}
    return {
        "id": document.id,
        "text": document.text,
        "entities": [
            {"start": s.start, "end": s.end, "text": s.text, "type": s.type, "score": scores.get(s.id)}
            for s in document.spans
        ],
    }


def write_documents(documents: Iterable[Document], out: Path, *, types: Sequence[str]) -> None:
    """Writes the documents in the format of ``out``'s ending, whole or not at all."""
    suffix = out.suffix.lower()
    if is_folder(out):
        _write_folder(documents, out)
    elif suffix == ".jsonl":
        with atomic_writer(out) as stream:
            for document in documents:
                stream.write(json.dumps(as_line(document), ensure_ascii=False) + "\n")
    elif suffix == ".json":
        write_bioc(documents, out, source="bioutils tag")
    else:
        page = entity_page(
            [(document.id, document.text, as_line(document)["entities"]) for document in documents], types
        )
        with atomic_writer(out) as stream:
            stream.write(page)


def _write_folder(documents: Iterable[Document], out: Path) -> None:
    with atomic_folder(out) as temporary:
        written = write_brat((replace(d, id=safe_name(d.id)) for d in documents), temporary)
        if len(set(written)) < len(written):
            raise BioutilsError("Two ids of documents give one file name. Change one of them.")
