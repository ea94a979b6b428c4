"""Tagged tokens in columns, a blank line between sentences: CoNLL-like TSV and JNLPBA's IOB2 with its ``###MEDLINE:`` lines."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bioutils.corpora.tags import SCHEMES, guess_scheme, illegal, repair, split_tag, to_spans
from bioutils.errors import DataError, UsageError, expected
from bioutils.files import atomic_writer, read_lines

DOCUMENT = re.compile(r"^(?:-DOCSTART-|###MEDLINE:(?P<id>\S+))")
MOST_TOKENS = 10_000  # more is a file without blank lines, not a sentence
SHOWN = 20


@dataclass(frozen=True)
class Sentence:
    """Tokens and their tags. ``document``: its abstract, "" where the file marks none; ``line``: of its first token."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    document: str = ""
    line: int = 0


@dataclass(frozen=True)
class Repair:
    """A sentence whose tags its scheme does not allow, and what they were read as."""

    line: int
    before: tuple[str, ...]
    after: tuple[str, ...]


def read_conll(
    path: Path | str,
    *,
    scheme: str = "",
    types: Iterable[str] = (),
    separator: str = "\t",
    repairs: list[Repair] | None = None,
) -> list[Sentence]:
    """The sentences of a file: the first column is the token, the last its tag.

    ``scheme``: guessed where empty. ``types``: those that may occur; any where empty. Document lines (``-DOCSTART-``,
    ``###MEDLINE:id``) are no sentences; they number or name the documents that follow. Illegal tags (an I- after O) are an error
    that names every line, unless ``repairs`` is given: then they are read leniently, and what was changed is added to it.
    Raises DataError with file and line for a missing column, an unknown tag or type, a control character in a token, and a
    sentence of more than 10,000 tokens; and for a file without a sentence.
    """
    if scheme and scheme not in SCHEMES:
        raise UsageError(expected("scheme", "a known one", scheme, available=SCHEMES))
    known = set(types)
    sentences = list(_sentences(path, known, separator))
    if not sentences:
        raise DataError("No sentence in this file. Fetch it again.", path=path)
    scheme = scheme or guess_scheme(sentence.tags for sentence in sentences)
    found, faults = [], []
    for sentence in sentences:
        wrong = illegal(sentence.tags, scheme)
        if wrong:
            faults += [f"line {sentence.line + x.index}: {x.tag} ({x.reason})" for x in wrong]
            mended = tuple(repair(sentence.tags, scheme))
            if repairs is not None:
                repairs.append(Repair(sentence.line, sentence.tags, mended))
            sentence = replace(sentence, tags=mended)
        found.append(sentence)
    if faults and repairs is None:
        more = f"\n  … and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise DataError(
            f"{len(faults)} tags are not legal in {scheme}. Mend the file, or have them repaired:\n  "
            + "\n  ".join(faults[:SHOWN]) + more,
            path=path,
        )  # fmt: skip
    return found


def _sentences(path: Path | str, known: set[str], separator: str) -> Iterator[Sentence]:
    tokens: list[str] = []
    tags: list[str] = []
    document, n_documents, first, columns = "", 0, 1, 0
    for number, line in read_lines(path):
        if not line.strip():
            if tokens:
                yield Sentence(tuple(tokens), tuple(tags), document, first)
            tokens, tags = [], []
            continue
        if match := DOCUMENT.match(line):
            if tokens:
                yield Sentence(tuple(tokens), tuple(tags), document, first)
            tokens, tags, n_documents = [], [], n_documents + 1
            # An id may come twice; the number keeps such documents apart.
            document = f"{n_documents}:{match['id']}" if match["id"] else str(n_documents)
            continue
        fields = line.split(separator)
        if len(fields) < 2:
            message = expected("the line", "a token and a tag between a tab", line[:80])
            raise DataError(message, path=path, line=number)
        columns = columns or len(fields)
        if len(fields) != columns:  # a tab in a token, or a column too many or too few
            message = expected("the line", f"{columns} columns, as in the first", f"{len(fields)}: {line[:80]}")
            raise DataError(message, path=path, line=number)
        token, tag = fields[0], fields[-1].strip()
        try:
            kind = split_tag(tag)[1]
        except ValueError as error:
            raise DataError(f"{error}.", path=path, line=number) from None
        if known and kind and kind not in known:
            raise DataError(expected("type", "a known one", kind, available=sorted(known)), path=path, line=number)
        if not token or any(unicodedata.category(c) == "Cc" for c in token):
            raise DataError(f"The token {token!r} is empty or holds a control character.", path=path, line=number)
        if not tokens:
            first = number
        tokens.append(token)
        tags.append(tag)
        if len(tokens) > MOST_TOKENS:
            message = f"More than {MOST_TOKENS:,} tokens without a blank line: is the file one sentence a line?"
            raise DataError(message, path=path, line=first)
    if tokens:  # the last blank line is often missing
        yield Sentence(tuple(tokens), tuple(tags), document, first)


def write_conll(sentences: Iterable[Sentence], path: Path | str) -> None:
    """Two columns, a blank line after each sentence, ``-DOCSTART-`` before each document.

    Raises DataError for a token that is empty or holds white space.
    """
    document = ""
    with atomic_writer(path) as stream:
        for sentence in sentences:
            if sentence.document != document:
                stream.write("-DOCSTART-\tO\n\n")
                document = sentence.document
            for token, tag in zip(sentence.tokens, sentence.tags, strict=True):
                if not token or any(c.isspace() for c in token):
                    raise DataError(f"The token {token!r} cannot stand in a column: it is empty or holds white space.")
                stream.write(f"{token}\t{tag}\n")
            stream.write("\n")


def entity_counts(sentences: Iterable[Sentence], scheme: str = "IOB2") -> dict[str, int]:
    """How many entities there are of each type, most first."""
    from collections import Counter

    counted = Counter(span.type for s in sentences for span in to_spans(s.tags, scheme))
    return dict(counted.most_common())
