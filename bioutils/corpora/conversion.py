"""From one annotation format to another: what is read, how it must be changed to fit, and what has no place there.

MAE's ids (P0, EN0) and its links of several members have no place in brat, nor brat's relations in MAE. So that nothing is lost,
spans get brat's ids and a note with their own; a link becomes an event whose trigger is its first member, which stands
among the arguments once more; a value with blanks becomes a note. ``read`` undoes all of this. The abstract that a document is
of is read from its name, unless the format has a place for it (BioC, JSON lines), and so is not every one; the task is kept there
and in MAE.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from bioutils.corpora import find_root
from bioutils.corpora.archives import inside, names_in
from bioutils.corpora.bioc import read_bioc, write_bioc
from bioutils.corpora.brat import ANNOTATIONS, LINE_BREAK, read_brat, write_brat
from bioutils.corpora.mae import OWN, TASK, read_mae, write_mae
from bioutils.corpora.records import Document, Link, Remark, pmid, read_jsonl, write_jsonl
from bioutils.corpora.word_json import Category, read_words, write_words
from bioutils.errors import UsageError, expected
from bioutils.files import atomic_folder, check_unharmed, read_json, safe_name

FORMATS = {"mae": "", "brat": "", "bioc": ".json", "jsonl": ".jsonl", "words": ".json"}  # "": a folder
ORIGINAL = "OriginalId"  # a brat note: what a span or link was called before
BRAT_ID = {"span": re.compile(r"T\d+"), "relation": re.compile(r"R\d+"), "link": re.compile(r"E\d+|\*\d+")}
BRAT_REMARK = re.compile(r"[AMN#]\d+")


def kind_of(source: Path | str) -> str:
    """The format of a file, folder or archive, by its names and, of a .json, its beginning. Raises UsageError."""
    source = Path(source)
    if not source.exists():
        raise UsageError(expected("input", "a file, folder or archive", str(source)))
    if source.suffix == ".jsonl":
        return "jsonl"
    if source.suffix == ".json":
        raw = read_json(source)
        return "bioc" if isinstance(raw, dict) and isinstance(raw.get("documents"), list) else "words"
    if source.suffix == ".xml":
        return "mae"
    names = names_in(source)
    found = [
        kind for kind, endings in (("mae", (".xml",)), ("brat", ANNOTATIONS)) if any(n.endswith(endings) for n in names)
    ]
    if len(found) != 1:
        what = "both of MAE's and of brat's" if found else f"of no known format ({sorted(names)[:3]})"
        raise UsageError(f"{source} holds files {what}. Name a folder of one, or say which with --from.")
    return found[0]


def read(
    source: Path | str, *, kind: str = "", under: str = "", categories: dict[str, Category] | None = None
) -> list[Document]:
    """The documents of a file, folder or archive in any of FORMATS; what ``write`` changed to fit brat is undone.

    ``source`` may go on inside an archive (``archives.inside``); ``under``: only paths that hold this text; ``categories``: names
    in word JSON. Raises UsageError and DataError.
    """
    source, within = inside(source)
    under = under or within
    kind = kind or kind_of(source)
    if kind not in FORMATS:
        raise UsageError(expected("format", "a known one", kind, available=FORMATS))
    match kind:
        case "mae":
            return read_mae(source, under=under)
        case "brat":
            return [from_brat(d) for d in read_brat(source, under=under, group=pmid)]
        case "bioc":
            return read_bioc(source)
        case "jsonl":
            return read_jsonl(source)
    return read_words(source, categories=categories)


def read_part(part: str, *, data_root: Path | str | None = None, sample: bool = False) -> list[Document]:
    """A part of the functional-genomics annotations: a path in their folder, such as ``mae-xml.tar.gz/raw_data/V2 Marked*``, or,
    in that of the sample, ``anna`` or ``bo``."""
    return read(find_root("fgen", data_root=data_root, sample=sample) / part)


def write(
    documents: Iterable[Document], out: Path | str, *, kind: str, task: str = "",
    categories: dict[str, Category] | None = None, overwrite: bool = False,
) -> Counter[str]:  # fmt: skip
    """Writes the documents, whole or not at all, and returns what had no place, by reason: empty where nothing was left out.

    MAE and brat are folders; one that holds other files is not replaced. ``task``: another name for the documents' task, which is
    the root element of MAE ("Annotation" where none is known). Raises UsageError and DataError.
    """
    out, lost = Path(out), Counter()
    if kind not in FORMATS:
        raise UsageError(expected("format", "a known one", kind, available=FORMATS))
    check_unharmed([out], [], overwrite=overwrite)
    has_place = kind in ("mae", "bioc", "jsonl")
    documents = [replace(d, task="" if task == TASK else task) if task and has_place else d for d in documents]
    if FORMATS[kind]:
        if out.suffix != FORMATS[kind]:
            raise UsageError(expected("output", f"a file that ends in {FORMATS[kind]}", out.name))
        if kind == "jsonl":
            write_jsonl(documents, out)
        elif kind == "bioc":
            lost += write_bioc(documents, out, source="bioutils convert")
        else:
            lost += _of_documents(documents, documents, kind)
            lost += write_words(documents, out, categories=categories)
        return lost
    endings = {"mae": (".xml",), "brat": (".txt", ".ann")}[kind]
    if out.exists() and (not out.is_dir() or any(path.suffix not in endings for path in out.iterdir())):
        raise UsageError(f"{out} holds more than files of {kind}: it is not replaced. Choose another folder.")
    named = [replace(d, id=safe_name(d.id)) for d in documents]
    if twice := [name for name, n in Counter(d.id for d in named).items() if n > 1]:
        raise UsageError(f"Two documents would be called {twice[0]!r}. Give them other ids.")
    lost += _of_documents(documents, named, kind)
    fitted = [for_mae(d, lost) if kind == "mae" else for_brat(d, lost) for d in named]
    with atomic_folder(out) as folder:
        if kind == "mae":
            write_mae(fitted, folder)
        else:
            write_brat(fitted, folder)
    return lost


def _of_documents(documents: list[Document], named: list[Document], kind: str) -> Counter[str]:
    """What formats without a place for it lose of documents as such. ``named``: the same, with the ids that files give them."""
    lost: Counter[str] = Counter()
    for before, after in zip(documents, named, strict=True):
        wanted = after.id if before.group == before.id else before.group
        lost["abstracts that documents are of, not seen from their names"] += bool(wanted) and wanted != pmid(after.id)
        lost["names of the task"] += bool(before.task) and kind != "mae"
    return +lost


def _without_empty(document: Document, lost: Counter[str]) -> Document:
    """The document without links that join nothing, and without what names these. ``lost``: how many."""
    gone = {x.id for x in document.links if not x.members}
    if not gone:
        return document
    while more := {x.id for x in document.links if any(target in gone for _, target in x.members)} - gone:
        gone |= more
    gone |= {x.id for x in document.relations if x.first in gone or x.second in gone}
    gone |= {x.id for x in document.remarks if x.target in gone}
    lost["links without members, and what names them"] += len(gone)
    kept = {
        name: tuple(x for x in getattr(document, name) if x.id not in gone)
        for name in ("links", "relations", "remarks")
    }
    return replace(document, **kept)


def for_brat(document: Document, lost: Counter[str]) -> Document:
    """The document as brat can hold it; what fits already stays as it is. ``lost``: what does not fit."""
    document, new, notes = _without_empty(document, lost), {}, []
    if broken := [x for x in document.remarks if LINE_BREAK.search(x.value)]:
        lost["notes whose line breaks are written as blanks"] += len(broken)
        remarks = tuple(replace(x, value=LINE_BREAK.sub(" ", x.value)) for x in document.remarks)
        document = replace(document, remarks=remarks)
    for kind, letter, found in (
        ("span", "T", document.spans), ("relation", "R", document.relations), ("link", "E", document.links),
    ):  # fmt: skip
        fits = all(BRAT_ID[kind].fullmatch(x.id) for x in found)
        for i, x in enumerate(found, 1):
            new[x.id] = x.id if fits else f"{letter}{i}"
            if not fits:
                notes.append((ORIGINAL, new[x.id], x.id))
    links = [
        Link(new[x.id], x.type, _with_trigger(x.type, [(role, new[target]) for role, target in x.members]))
        for x in document.links
    ]
    remarks = []
    if all(BRAT_REMARK.fullmatch(x.id) for x in document.remarks):
        remarks = [replace(x, target=new.get(x.target, x.target)) for x in document.remarks]
    else:
        notes = [(x.type, new.get(x.target, x.target), x.value) for x in document.remarks] + notes
    n = {"A": 0, "#": 0} | Counter(x.id[0] for x in remarks)
    for name, target, value in notes:
        letter = "A" if re.fullmatch(r"\S+", value) and name != ORIGINAL else "#"
        n[letter] += 1
        remarks.append(Remark(f"{letter}{n[letter]}", name, target, value))
    return replace(
        document, spans=tuple(replace(x, id=new[x.id]) for x in document.spans),
        relations=tuple(replace(x, id=new[x.id], first=new[x.first], second=new[x.second]) for x in document.relations),
        links=tuple(links), remarks=tuple(remarks),
    )  # fmt: skip


def _with_trigger(name: str, members: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """An event's members: the trigger under the event's type, then all of a link's."""
    if not members or members[0][0] in (name, ""):  # brat's own: an event with its trigger, an equivalence
        return tuple(members)
    return ((name, members[0][1]), *members)


def from_brat(document: Document) -> Document:
    """The document as it was before ``for_brat``; of one that never was anything else, the same."""
    old = {x.target: x.value for x in document.remarks if x.type == ORIGINAL}
    links = []
    for x in document.links:
        doubled = len(x.members) > 1 and x.members[0][0] == x.type and x.members[0][1] == x.members[1][1]
        members = x.members[1:] if doubled else x.members
        links.append(Link(old.get(x.id, x.id), x.type, tuple((role, old.get(t, t)) for role, t in members)))
    return replace(
        document, spans=tuple(replace(x, id=old.get(x.id, x.id)) for x in document.spans),
        relations=tuple(
            replace(x, id=old.get(x.id, x.id), first=old.get(x.first, x.first), second=old.get(x.second, x.second))
            for x in document.relations
        ),
        links=tuple(links),
        remarks=tuple(replace(x, target=old.get(x.target, x.target)) for x in document.remarks if x.type != ORIGINAL),
    )  # fmt: skip


def for_mae(document: Document, lost: Counter[str]) -> Document:
    """The document as MAE can hold it: relations as links of two; values of spans alone, one of a name. ``lost``: the rest."""
    document = _without_empty(document, lost)
    links = [_named_apart(x) for x in document.links]
    links += [Link(r.id, r.type, tuple(zip(r.roles, (r.first, r.second), strict=True))) for r in document.relations]
    spans, remarks, there = {x.id for x in document.spans}, [], set()
    for x in document.remarks:
        if x.target not in spans:
            lost["notes on links and relations"] += 1
        elif x.type in OWN:
            lost[f"notes named {', '.join(OWN)}"] += 1
        elif (x.target, x.type) in there:
            lost["second notes of one name on a span"] += 1
        else:
            there.add((x.target, x.type))
            remarks.append(x)
    return replace(document, relations=(), links=tuple(links), remarks=tuple(remarks))


def _named_apart(link: Link) -> Link:
    """The link with each role named once: a second *Theme* becomes *Theme2*, as brat itself has it."""
    seen, members = Counter(), []
    for role, target in link.members:
        role = role or "member"
        seen[role] += 1
        members.append((role if seen[role] == 1 else f"{role}{seen[role]}", target))
    return replace(link, members=tuple(members))
