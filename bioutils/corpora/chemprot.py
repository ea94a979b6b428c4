"""ChemProt in two of its forms: the abstracts of BioCreative VI, and sentences with ``<< >>`` and ``[[ ]]``.

The third, anonymised TSV, is ``tabular``'s. Krallinger et al. 2017, Overview of the BioCreative VI chemical–protein track.
"""

import json
import re
import warnings
from collections import defaultdict
from pathlib import Path

from bioutils.corpora.records import Document, Relation, Remark, Span, check_documents, same_words, slice_of
from bioutils.errors import DataError, UsageError, expected
from bioutils.files import read_lines

EVALUATED = (
    "CPR:3",
    "CPR:4",
    "CPR:5",
    "CPR:6",
    "CPR:9",
)  # up-regulation, down-regulation, agonist, antagonist, substrate
MARKS = re.compile(r"<< | >>|\[\[ | \]\]")


def read_original(
    abstracts: Path | str, entities: Path | str | None, relations: Path | str | None, *, missing: str = "error"
) -> list[Document]:
    """Whole abstracts, of files without a header whose columns are

    ``PMID, title, abstract``; ``PMID, T1, type, start, end, text``; ``PMID, CPR:4, "Y ", type, Arg1:T1, Arg2:T2``.

    Offsets count title, one character and abstract. A relation's type is its name (INHIBITOR); its group and whether it is
    evaluated stand in a remark ("CPR:4 Y"). ``missing``: "error" raises when a relation names an entity that is not there,
    with every such line; "skip" leaves these out, with a warning that counts them.
    """
    if missing not in ("error", "skip"):
        raise UsageError(expected("missing", "a known way", missing, available=["error", "skip"]))
    texts = {}
    for number, line in read_lines(abstracts):
        pmid, title, abstract = _fields(line, 3, abstracts, number)
        texts[pmid] = f"{title} {abstract}"
    spans: dict[str, list[Span]] = defaultdict(list)
    for number, line in read_lines(entities) if entities else ():
        pmid, name, kind, start, end, stated = _fields(line, 6, entities, number)
        if pmid not in texts:
            raise DataError(f"The abstract {pmid} is not in {Path(abstracts).name}.", path=entities, line=number)
        try:
            pieces = ((int(start), int(end)),)
        except ValueError:
            raise DataError(expected("offsets", "whole numbers", (start, end)), path=entities, line=number) from None
        there = slice_of(texts[pmid], pieces)
        spans[pmid].append(Span(name, kind, pieces, there if same_words(there, stated) else stated))
    found, remarks = defaultdict(list), defaultdict(list)
    faults = []
    for number, line in read_lines(relations) if relations else ():
        pmid, group, evaluated, kind, first, second = _fields(line, 6, relations, number)
        ends = [argument.rpartition(":")[2] for argument in (first, second)]
        if lost := [end for end in ends if end not in {span.id for span in spans[pmid]}]:
            faults.append(f"line {number}: {pmid} has no {' and no '.join(lost)}")
            continue
        name = f"R{len(found[pmid]) + 1}"
        found[pmid].append(Relation(name, kind, *ends))
        remarks[pmid].append(Remark(f"A{name[1:]}", "group", name, f"{group} {evaluated.strip()}"))
    if faults and missing == "error":
        more = f"\n  … and {len(faults) - 20} more" if len(faults) > 20 else ""
        raise DataError(
            f"{len(faults)} relations name entities that are not in {Path(entities).name if entities else 'any file'}. "
            'Fetch the whole files, or leave these relations out (missing="skip"):\n  '
            + "\n  ".join(faults[:20])
            + more,
            path=relations,
        )
    if faults:
        warnings.warn(f"{relations}: {len(faults)} relations left out, whose entities are not there.", stacklevel=2)
    documents = [
        Document(pmid, text, tuple(spans[pmid]), tuple(found[pmid]), remarks=tuple(remarks[pmid]), group=pmid)
        for pmid, text in texts.items()
    ]
    return check_documents(documents, source=abstracts)


def _fields(line: str, n: int, path: Path | str, number: int) -> list[str]:
    fields = line.split("\t")
    if len(fields) != n:
        raise DataError(expected("the line", f"{n} columns between tabs", len(fields)), path=path, line=number)
    return fields


def read_sentences(path: Path | str) -> list[Document]:
    """One document a JSON line ``{"text": "<< a >> … [[ b ]]", "label": …}``, the marks taken out of the text.

    The first argument is the one in ``<< >>``, wherever it stands. The lines tell neither types nor abstracts: a span's type
    is ENTITY, and rows of one sentence are one group. Raises DataError with the line where a mark is missing or double.
    """
    documents, stem = [], Path(path).stem
    for number, line in read_lines(path):
        try:
            row = json.loads(line)
            marked, label = row["text"], row["label"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"Expected a JSON object with text and label ({error!r}).", path=path, line=number
            ) from None
        text, places = unmarked(marked)
        if sorted(places) != ["first", "second"] or len(places) != 2:
            message = expected("the sentence", "marked by one << >> and one [[ ]]", marked[:200])
            raise DataError(message, path=path, line=number)
        pieces = {"T1": places["first"], "T2": places["second"]}
        spans = [Span(name, "ENTITY", (piece,), slice_of(text, [piece])) for name, piece in pieces.items()]
        relation = Relation("R1", label, "T1", "T2")
        documents.append(Document(f"{stem}-{number}", text, tuple(spans), (relation,), group=text))
    return check_documents(documents, source=path)


def unmarked(marked: str) -> tuple[str, dict[str, tuple[int, int]]]:
    """The text without its marks, and where what they enclosed lies in it. A mark may stand inside the other.

    >>> unmarked("<< Zinc >> blocks ([[ PKC ]]).")
    ('Zinc blocks (PKC).', {'first': (0, 4), 'second': (13, 16)})
    """
    text, places, open_at, position = [], {}, {}, 0
    size = 0
    for mark in MARKS.finditer(marked):
        role = "first" if "<" in mark[0] or ">" in mark[0] else "second"
        opens = mark[0] in ("<< ", "[[ ")
        if role in places or (opens == (role in open_at)):
            continue  # a >> of the text's own, before its mark opens or after it has closed
        text.append(marked[position : mark.start()])
        size += len(text[-1])
        position = mark.end()
        if opens:
            open_at[role] = size
        else:
            places[role] = (open_at[role], size)
    return "".join([*text, marked[position:]]), places
