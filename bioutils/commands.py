"""What the commands of ``cli`` do. Each imports what it needs itself, so that help is instant; it returns the exit code."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bioutils.errors import BioutilsError, UsageError, expected

if TYPE_CHECKING:
    from bioutils.suite import Row


def pairs(given: Sequence[str], option: str, form: str) -> dict[str, str]:
    """The mapping in the ``KEY=VALUE`` arguments of an option. Raises UsageError for another form or a key twice.

    >>> pairs(["seed=7", "encoder="], "-p", "KEY=VALUE")
    {'seed': '7', 'encoder': ''}
    """
    found: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(expected(option, form, text))
        if key.strip() in found:
            raise UsageError(f"Expected {option} {key.strip()} to be given once, found it twice.")
        found[key.strip()] = value
    return found


def run(arguments: argparse.Namespace) -> int:
    """Notebooks, in the order of what they need; exit code 1 where one failed."""
    overrides = pairs(arguments.parameters, "-p", "KEY=VALUE")
    grid = {key: value.split(",") for key, value in pairs(arguments.grid, "--grid", "KEY=V1,V2").items()}
    from bioutils.suite import TIMEOUT, run_suite

    result = run_suite(
        arguments.notebooks,
        profile=arguments.profile,
        overrides=overrides,
        grid=grid,
        cores=arguments.cores,
        executor=arguments.executor,
        out=arguments.out,
        timeout=TIMEOUT if arguments.timeout is None else arguments.timeout,
        dry_run=arguments.dry_run,
        force=arguments.force,
    )
    print(format_rows(result.rows))
    if result.report:
        print(f"\nReport: {result.report}")
    return 0 if result.ok else 1


def format_rows(rows: Sequence["Row"]) -> str:
    """The table at the end of a run: notebook, state, seconds, what went wrong and where."""
    lines = [(row.job, row.state, f"{row.seconds:.0f}" if row.seconds else "", row.detail) for row in rows]
    return "\n" + format_table([("notebook", "state", "seconds", ""), *lines])


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """The rows as lines with aligned columns.

    >>> print(format_table([("a", "1"), ("long", "2")]))
    a     1
    long  2
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def score(arguments: argparse.Namespace) -> int:
    """Abstracts by aspect, into tables."""
    columns = pairs(arguments.column, "--column", "FIELD=HEADER")
    from bioutils.scoring import BATCH_TOKENS, score_files

    summary = score_files(
        arguments.inputs,
        arguments.out,
        model=arguments.model,
        columns=columns or None,
        overwrite=arguments.overwrite,
        resume=arguments.resume,
        batch_tokens=arguments.batch_tokens or BATCH_TOKENS,
    )
    print(f"model: {summary.model}")
    print(f"{summary.n_abstracts:,} abstracts → {summary.abstracts}")
    print(f"{summary.n_sentences:,} sentences → {summary.sentences}")
    if summary.n_without_text:
        print(f"{summary.n_without_text:,} abstracts have no text, and so no probabilities")
    if summary.n_repeated_ids:
        print(f"{summary.n_repeated_ids:,} rows repeat an id that came before")
    return 0


def tag(arguments: argparse.Namespace) -> int:
    """Entities of abstracts, in the format asked for."""
    columns = pairs(arguments.column, "--column", "FIELD=HEADER")
    from bioutils.tagging import tag_files

    summary = tag_files(
        arguments.inputs,
        arguments.out,
        model=arguments.model,
        columns=columns or None,
        overwrite=arguments.overwrite,
    )
    found = ", ".join(f"{n:,} {kind}" for kind, n in summary.n_entities.items())
    print(f"{summary.n_documents:,} abstracts, {sum(summary.n_entities.values()):,} entities → {summary.out}")
    if found:
        print(f"  {found}")
    if summary.n_without_text:
        print(f"{summary.n_without_text:,} abstracts have no text; of these only titles were read")
    return 0


def agree(arguments: argparse.Namespace) -> int:
    """Annotators compared."""
    from bioutils.agreement_page import FORMATS, agreement, read_copies, write_agreement
    from bioutils.files import check_unharmed

    if arguments.out:
        if arguments.out.suffix not in FORMATS:
            raise UsageError(expected("--out", "a .html, .md or .json file", str(arguments.out)))
        check_unharmed([arguments.out], [], overwrite=arguments.overwrite)
    found = agreement(read_copies(arguments.copies))
    print(f"{' and '.join(found.annotators)}. " + "\n".join(found.notes()))
    for title, table in found.tables().items():
        print(f"\n{title}\n" + format_table([list(table), *table.astype(str).to_numpy().tolist()]))
    listed = "" if arguments.out else "; --out FILE.html lists them"
    print(f"\n{len(found.disagreements):,} disagreements on tags, {len(found.link_disagreements):,} on links{listed}")
    if arguments.out:
        print(write_agreement(found, arguments.out, sources=arguments.copies))
    return 0


def convert(arguments: argparse.Namespace) -> int:
    """Annotations from one format into another."""
    from bioutils.corpora.conversion import read, write
    from bioutils.corpora.word_json import read_categories
    from bioutils.files import check_unharmed

    to = arguments.to or {".jsonl": "jsonl", ".json": "bioc"}.get(arguments.out.suffix)
    if to is None:
        raise UsageError("Say which format to write: --to mae or --to brat.")
    categories = read_categories(arguments.categories) if arguments.categories else None
    check_unharmed([arguments.out], [arguments.source], overwrite=arguments.overwrite)
    documents = read(arguments.source, kind=arguments.kind, categories=categories)
    lost = write(
        documents, arguments.out, kind=to, task=arguments.task, categories=categories, overwrite=arguments.overwrite
    )
    n = {name: sum(len(getattr(d, name)) for d in documents) for name in ("spans", "relations", "links")}
    print(f"{len(documents):,} documents, {', '.join(f'{k:,} {name}' for name, k in n.items() if k)} → {arguments.out}")
    for what, k in lost.items():
        changed = "widened" in what or "written as" in what
        print(f"{k:>6,} {what}: {'' if changed else 'left out, '}no place in {to}")
    return 0


def _annotated(arguments: argparse.Namespace, outputs: Sequence[Path]) -> list:
    from bioutils.annotation_exploration import merged
    from bioutils.corpora.conversion import read
    from bioutils.files import check_unharmed

    check_unharmed(outputs, map(Path, arguments.sources), overwrite=arguments.overwrite)
    return merged([read(source) for source in arguments.sources])


def corpus_report(arguments: argparse.Namespace) -> int:
    """What a corpus of annotations holds."""
    from bioutils.annotation_page import report, write_report
    from bioutils.encoders import load_tokenizer

    documents = _annotated(arguments, [arguments.out])
    tokenizer = load_tokenizer(arguments.tokenizer) if arguments.tokenizer else None
    title = ", ".join(Path(source).name for source in arguments.sources)
    print(write_report(report(documents, title=title, tokenizer=tokenizer, each=arguments.each), arguments.out))
    return 0


def corpus_merge(arguments: argparse.Namespace) -> int:
    """Several corpora of annotations as one."""
    from bioutils.corpora.records import write_jsonl

    if arguments.out.suffix != ".jsonl":
        raise UsageError(expected("--out", "a .jsonl file", str(arguments.out)))
    documents = _annotated(arguments, [arguments.out])
    write_jsonl(documents, arguments.out)
    print(f"{len(documents):,} documents → {arguments.out}")
    return 0


def corpus_split(arguments: argparse.Namespace) -> int:
    """A corpus in parts, by abstract."""
    from bioutils.annotation_exploration import split
    from bioutils.corpora.records import write_jsonl

    given = pairs(arguments.part, "--part", "NAME=SHARE")
    try:
        shares = {name: float(share) for name, share in given.items()}
    except ValueError:
        raise UsageError(expected("--part", "NAME=SHARE, a number", str(given))) from None
    files = {name: arguments.out / f"{name}.jsonl" for name in shares}
    for name, part in split(_annotated(arguments, list(files.values())), shares, seed=arguments.seed).items():
        write_jsonl(part, files[name])
        print(f"{len(part):>6,} documents → {files[name]}")
    return 0


def convert_electra(arguments: argparse.Namespace) -> int:
    """An original checkpoint as an encoder."""
    from bioutils.training.electra.convert import convert

    counts = convert(
        arguments.checkpoint, arguments.out, generator=arguments.generator, vocabulary=arguments.vocabulary,
        lower_case=not arguments.cased, heads=arguments.heads, overwrite=arguments.overwrite,
    )  # fmt: skip
    for what, n in counts.items():
        print(f"{n:>6,} {what}{'' if what == 'weights converted' else ', left out'}")
    print(arguments.out)
    return 0


def report(arguments: argparse.Namespace) -> int:
    """The page about a folder of runs."""
    from bioutils.report import make_report

    print(make_report(arguments.run))
    return 0


def stats(arguments: argparse.Namespace) -> int:
    """Repeated runs summarised and compared."""
    from bioutils.comparison import compare, describe, read_groups, table

    if arguments.out and arguments.out.suffix not in (".png", ".svg", ".pdf"):
        raise UsageError(expected("--out", "a .png, .svg or .pdf file", str(arguments.out)))
    groups = read_groups(arguments.folders)
    found = table(groups)
    numbers = [[name, score, str(n), *(f"{value:.4f}" for value in rest)] for name, score, n, *rest in found.to_numpy()]
    print(format_table([("group", "score", "n", "min", "max", "mean", "std", "95 % low", "95 % high"), *numbers]))
    if len(groups) == 2:
        comparison = compare(*groups, n_random=arguments.exchanges, seed=arguments.seed)
        print("\n" + describe(comparison, *(group.name for group in groups)))
    if arguments.out:
        from bioutils.files import atomic_path
        from bioutils.plots.runs import score_boxes

        columns = groups[0].columns
        drawn = {group.name: group.scores for group in groups if group.columns == columns}
        with atomic_path(arguments.out) as temporary:
            score_boxes(drawn, columns).figure.savefig(temporary, bbox_inches="tight", dpi=150)
        print(f"\n{arguments.out}")
    return 0


def data_list(arguments: argparse.Namespace) -> int:
    """The corpora and where they are."""
    from bioutils.corpora import CORPORA, find_root, project_data

    rows = [("corpus", "task", "licence", "where")]
    for name, corpus in CORPORA.items():
        try:
            where = str(find_root(name, data_root=arguments.data_root))
        except BioutilsError:
            sample = "only the sample; " if (project_data() / "sample" / (corpus.sample or name)).is_dir() else ""
            where = sample + (f"bioutils data fetch {name}" if corpus.releases else "get the whole by hand")
        rows.append((name, corpus.task, corpus.licence, where))
    print(format_table(rows))
    return 0


def data_fetch(arguments: argparse.Namespace) -> int:
    """Corpora downloaded."""
    if arguments.url and len(arguments.names) > 1:
        raise UsageError(expected("--url", "given with one NAME", arguments.names))
    from bioutils.corpora.download import fetch

    for name in arguments.names:
        print(fetch(name, data_root=arguments.data_root, url=arguments.url, overwrite=arguments.overwrite))
    return 0


def data_check(arguments: argparse.Namespace) -> int:
    """Corpora read to the end."""
    from bioutils.corpora import check

    for name in arguments.names:
        found = check(name, data_root=arguments.data_root, sample=arguments.sample)
        print(format_table([(name, ""), *((f"  {what}", str(value)) for what, value in found.items())]))
    return 0


def doctor(arguments: argparse.Namespace) -> int:
    """What this machine has."""
    from bioutils import doctor

    return doctor.main()
