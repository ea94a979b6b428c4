"""Raw text to a folder of examples: cleaned sentences, a vocabulary, packed rows, and a report of all that was dropped."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bioutils.encoders import load_tokenizer
from bioutils.errors import UsageError, expected
from bioutils.files import atomic_folder, check_folder, read_lines, write_json
from bioutils.training.electra.shards import FACTS, FORMS, ShardWriter, documents_of_ids, vocabulary_digest
from bioutils.training.electra.sources import write_clean
from bioutils.training.electra.vocabulary import SIZE, SPECIAL, learn_vocabulary, save_tokenizer

TEXT = "sentences.txt"


def build(
    paths: Sequence[Path], out: Path, *, vocabulary: str | None = None, size: int = SIZE, lower_case: bool = True,
    strip_accents: bool | None = None, length: int = 128, form: str = "packed", blank_lines: bool = True,
    leave_out: Iterable[str] = (), validation: float = 0.01, seed: int = 42, processes: int = 1, overwrite: bool = False,
    progress: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Writes the examples of ``paths`` to the folder ``out``, whole or not at all, and returns the report's facts.

    ``vocabulary``: an encoder or a folder whose tokenizer is taken in place of a new one. ``validation``: the share of documents
    held back, to watch the training by. ``leave_out``: texts whose near copies are dropped. The outcome does not depend on the
    number of ``processes``. Raises UsageError for what cannot be, DataError for a broken file, BioutilsError for a full disk.
    """
    for name, value, right, what in (
        ("length", length, length >= 8, "8 tokens or more"),
        ("size", size, size > len(SPECIAL), f"more than the {len(SPECIAL)} special tokens"),
        ("validation", validation, 0 < validation < 1, "a share between 0 and 1"),
        ("processes", processes, processes >= 1, "1 or more"),
        ("seed", seed, 0 <= seed < 2**32, "0 or more, below 2**32"),
        ("form", form, form in FORMS, f"one of {list(FORMS)}"),
    ):
        if not right:
            raise UsageError(expected(name, what, value))
    check_folder(out, paths, mark=FACTS, holds="examples", overwrite=overwrite)
    with atomic_folder(out) as folder:
        text = folder / TEXT
        counts = write_clean(
            paths, text, leave_out=leave_out, blank_lines=blank_lines, processes=processes, progress=progress
        )
        tokenizer = load_tokenizer(vocabulary) if vocabulary else None
        if tokenizer is None:
            lines = (line for _, line in read_lines(text) if line)
            tokenizer = learn_vocabulary(lines, size=size, lower_case=lower_case, strip_accents=strip_accents)
        save_tokenizer(tokenizer, folder)
        facts = write_rows(
            text, folder, n_documents=counts["documents"], length=length, form=form, validation=validation, seed=seed,
            processes=processes, progress=progress,
        )  # fmt: skip
        facts = {"text": counts, "vocabulary": vocabulary_digest(tokenizer), "vocab_size": len(tokenizer)} | facts
        write_json(folder / FACTS, facts)
    return facts


def write_rows(
    text: Path, folder: Path, *, n_documents: int, length: int, form: str, validation: float, seed: int,
    processes: int = 1, progress: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Packs a cleaned text with the tokenizer in ``folder`` into shards there. Raises UsageError where a part stays empty."""
    from tqdm import tqdm

    tokenizer = load_tokenizer(str(folder))
    ids = {"cls": tokenizer.cls_token_id, "sep": tokenizer.sep_token_id, "pad": tokenizer.pad_token_id}
    if missing := [name for name, value in ids.items() if value is None]:
        raise UsageError(expected("the tokenizer", "one of BERT's kind", f"no {missing[0]} token"))
    counts = {"tokens": 0, "unknown_tokens": 0}
    held_back: list[list[list[int]]] = []
    bar = tqdm(total=n_documents, unit=" documents", desc="packing", disable=None if progress else True)

    def for_training():
        for number, document in enumerate(documents_of_ids(text, folder, processes=processes)):
            bar.update()
            counts["tokens"] += sum(map(len, document))
            counts["unknown_tokens"] += sum(sentence.count(tokenizer.unk_token_id) for sentence in document)
            # Drawn by number, so that the parts do not depend on chunks or processes.
            name = hashlib.blake2b(f"{seed} {number}".encode(), digest_size=8).digest()
            if int.from_bytes(name) < validation * 2**64:
                held_back.append(document)
            else:
                yield document

    facts: dict[str, Any] = {"length": length, "form": form, "validation": validation, "seed": seed}
    with bar:
        for part, documents in (("train", for_training()), ("validation", iter(held_back))):
            writer = ShardWriter(folder, part, vocab_size=len(tokenizer))
            for row in FORMS[form](documents, length=length, seed=seed, **ids):
                writer.add(row)
            writer.flush()
            facts[f"{part}_rows"] = writer.n_rows
    if not facts["train_rows"] or not facts["validation_rows"]:
        raise UsageError(
            f"Too little text: {facts['train_rows']} rows of {length} tokens to train on, {facts['validation_rows']} held back. "
            "Give more text, end documents with blank lines, or take a shorter length or a larger validation share."
        )
    return facts | counts


def report_text(facts: dict[str, Any]) -> str:
    """The report in lines: what was read, what was dropped and why, what came out."""
    from bioutils.training.electra.sources import REASONS

    text = facts["text"]
    lines = [
        f"{text['documents']:>12,} documents, {text['sentences']:,} sentences, {text['words']:,} words kept",
        *(f"{text[reason]:>12,} dropped: {why}" for reason, why in REASONS.items()),
        f"{facts['vocab_size']:>12,} pieces in the vocabulary",
        f"{facts['tokens']:>12,} tokens, {facts['unknown_tokens']:,} of them unknown",
        f"{facts['train_rows']:>12,} rows of {facts['length']} tokens to train on, {facts['validation_rows']:,} held back",
    ]
    return "\n".join(lines)
