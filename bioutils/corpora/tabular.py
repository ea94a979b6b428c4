"""Anonymised relation sentences in TSV, as GAD, DDI and ChemProt go round: ``(guid,) sentence1, label``, names as ``@GENE$``."""

import re
from collections.abc import Callable
from pathlib import Path

from bioutils.corpora.records import Document, Relation, Span, check_documents
from bioutils.errors import DataError, expected
from bioutils.files import read_lines

PLACEHOLDER = re.compile(r"@([A-Z]+)(?:-([A-Z]+))?\$")


def read_anonymised(
    path: Path | str, *, labels: tuple[str, ...], group: Callable[[str], str] | None = None
) -> list[Document]:
    """One document a row, its two placeholders as spans in the order of the text (``@DRUG-DRUG$``: both at one place).

    The first line names the columns (``sentence1``, ``label``, perhaps ``guid``). ``group``: a guid → its abstract; rows
    without a guid are groups by their text. Raises DataError with the line of a label that is not among ``labels``, of a
    wrong number of columns and of a row without its placeholders.
    """
    documents: list[Document] = []
    lines = read_lines(path)
    header = next(lines)[1].split("\t")
    if not {"sentence1", "label"} <= set(header):
        raise DataError(expected("the first line", "column names with sentence1 and label", header), path=path, line=1)
    for number, line in lines:
        if not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) != len(header):
            message = expected("the row", f"{len(header)} columns ({', '.join(header)})", len(fields))
            raise DataError(message, path=path, line=number)
        row = dict(zip(header, fields, strict=True))
        if row["label"] not in labels:
            raise DataError(expected("label", "a known one", row["label"], available=labels), path=path, line=number)
        name, text = row.get("guid") or f"{Path(path).stem}-{number}", unquoted(row["sentence1"])
        spans = _placeholders(text)
        if len(spans) != 2:
            message = expected("the sentence", "with two placeholders (@GENE$ … @DISEASE$) or a double one", text[:200])
            raise DataError(message, path=path, line=number)
        relation = Relation("R1", row["label"], "T1", "T2")
        documents.append(Document(name, text, spans, (relation,), group=group(name) if group else text))
    return check_documents(documents, source=path)


def unquoted(field: str) -> str:
    """A field as a spreadsheet may have written it, without its quotes.

    >>> unquoted('"The ""rare"" allele."'), unquoted('"B" allele')
    ('The "rare" allele.', '"B" allele')
    """
    inside = field[1:-1]
    whole = len(field) > 1 and field[0] == field[-1] == '"' and '"' not in inside.replace('""', "")
    return inside.replace('""', '"') if whole else field


def _placeholders(text: str) -> tuple[Span, ...]:
    found = []
    for match in PLACEHOLDER.finditer(text):
        for kind in match.groups():
            if kind:
                found.append(Span(f"T{len(found) + 1}", kind, (match.span(),), match[0]))
    return tuple(found)
