"""The DDI corpus 2013 in its own XML: sentences, drugs with offsets, and a verdict on every pair (Herrero-Zazo et al. 2013)."""

from pathlib import Path

from bioutils.corpora.archives import read_files
from bioutils.corpora.records import Document, Relation, Span, check_documents, same_words, slice_of
from bioutils.errors import DataError, expected

TYPES = ("mechanism", "effect", "advise", "int")
# Texts that the release states with a letter too few or too many; offsets count.
KNOWN_FAULTS = {"DDI-DrugBank.d216.s16.e2"}


def read_ddi(source: Path | str, *, under: str = "") -> list[Document]:
    """One document a sentence, each pair a relation: ``false`` or its type (``int`` where ddi="true" has none).

    ``charOffset`` counts its end as inside, pieces are joined by ";". The group is the XML's document. Raises DataError
    naming the file of what is not XML, and of pairs and types that are not the corpus'.
    """
    from defusedxml import ElementTree
    from defusedxml.common import DefusedXmlException

    documents = []
    for name, content in read_files(source, (".xml",), under=under):
        where = f"{source}/{name}"
        try:
            root = ElementTree.fromstring(content)
            for sentence in root.iter("sentence"):
                documents.append(_sentence(sentence, root.get("id")))
        except ElementTree.ParseError as error:
            raise DataError(f"Not XML: {error}.", path=where, line=error.position[0]) from None
        except (KeyError, ValueError, DefusedXmlException) as error:
            raise DataError(f"Not the DDI corpus' XML ({error!r}).", path=where) from None
    return check_documents(documents, source=source)


def _sentence(sentence, group: str) -> Document:
    text, spans = sentence.attrib["text"], []
    for entity in sentence.iter("entity"):
        places = (piece.split("-") for piece in entity.attrib["charOffset"].split(";"))
        pieces = tuple((int(start), int(end) + 1) for start, end in places)
        stated, there = entity.attrib["text"], slice_of(text, pieces)
        taken = same_words(there, stated) or entity.attrib["id"] in KNOWN_FAULTS
        spans.append(Span(entity.attrib["id"], entity.attrib["type"], pieces, there if taken else stated))
    relations = [
        Relation(pair.attrib["id"], _type(pair), pair.attrib["e1"], pair.attrib["e2"], ("e1", "e2"))
        for pair in sentence.iter("pair")
    ]
    return Document(sentence.attrib["id"], text, tuple(spans), tuple(relations), group=group)


def _type(pair) -> str:
    if pair.attrib["ddi"] == "false":
        return "false"
    kind = pair.get("type") or "int"
    if kind not in TYPES:
        raise ValueError(expected("type", "a known one", kind, available=TYPES))
    return kind
