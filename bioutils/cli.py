"""The command line: ``bioutils run | score | tag | stats | report | agree | convert | corpus | data | convert-electra | doctor``.

Exit codes: 0 done; 1 the work failed, with what failed named; 2 the call is wrong; 130 interrupted. A user's mistake shows one
message and no traceback (``BIOUTILS_DEBUG=1`` shows it).
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bioutils import __version__, commands
from bioutils.errors import BioutilsError

RUN_EXAMPLES = """examples:
  bioutils run                                          all notebooks, quick profile
  bioutils run 01 03 08 --profile full --grid seed=0,1,2
  bioutils run 03 -p learning_rate=5e-5 -p epochs=3 --out outputs/slow
  bioutils run --dry-run                                what would run, and with which parameters

What is up to date is not run again; the parameters of a notebook are listed by
  papermill --help-notebook notebooks/03_finetune_with_trainer.ipynb"""

SCORE_EXAMPLES = """examples:
  bioutils score abstracts.xml.gz --out scores.parquet
  bioutils score *.nbib --out scores.xlsx --model outputs/full/03_finetune_with_trainer/model
  bioutils score papers.csv --column id=PMID --column abstract=AB --out scores.csv

Writes a row an abstract to FILE and a row a sentence to FILE with .sentences before its ending."""

TAG_EXAMPLES = """examples:
  bioutils tag abstracts.xml.gz --model outputs/quick/10_named_entities/crf-0/model --out entities.html
  bioutils tag *.nbib --model outputs/full/10_named_entities/crf-0/model --out entities.jsonl
  bioutils tag notes.txt --model outputs/full/10_named_entities/crf-0/model --out brat/

.jsonl: a line a document, {"id", "text", "entities": [{"start", "end", "text", "type", "score"}]}; .json: BioC; .html: a page
with coloured spans; a name without an ending: a folder for brat, an .ann and a .txt a document. Offsets count characters of the
text: the title, a line break, the abstract."""

STATS_EXAMPLES = """examples:
  bioutils stats outputs/quick/09_relation_extraction/results
  bioutils stats results/minilm results/scibert --out comparison.png
  bioutils stats outputs/seeds                          runs of the suite: accuracy and macro F1

Each .res file (a line a repeat: precision recall fscore) is a group. Of exactly two groups the difference is tested: means and
effect sizes, and where the .pred files beside them are about the same examples, approximate randomisation and McNemar's test."""

AGREE_EXAMPLES = """examples:
  bioutils agree annotations/anna annotations/bo
  bioutils agree first=round1.tar.gz/anna second=round2/anna --out agreement.html
  bioutils agree anna bo cem --out agreement.html         any number of annotators

Each argument is a folder or an archive (or a folder in one) of MAE, brat, BioC, JSON lines or word JSON, with one annotator's
copies of the texts. Copies of a text are recognised by PMID<number> in their names, or by equal names; of two in one folder
neither is taken. Documents that name different tasks (the root element of MAE) are not compared: rename one by
`bioutils convert IN OUT --to mae --task NAME` where they are one task after all."""

ANNOTATION_EXAMPLES = """examples:
  bioutils convert annotations.tar.gz brat/ --to brat
  bioutils convert brat/ mae/ --to mae --task Genomics_ConceptTask
  bioutils convert brat/ corpus.jsonl
  bioutils convert mae/ words.json --to words --categories tag_categories_v2.json

The format of IN is seen from its files. What has no place in the new format is counted and said. From MAE to BioC or JSON lines
and back nothing changes, the task's name included, which is MAE's root element; to brat and back nothing but this name: say it
with --task, on the way back. --task also renames it."""

CORPUS_EXAMPLES = """examples:
  bioutils corpus report annotations/ --out report.html --tokenizer minilm
  bioutils corpus merge annotations/anna annotations/bo --out all.jsonl
  bioutils corpus split all.jsonl --out parts --part train=0.9 --part test=0.1

Reads what `bioutils convert` reads; documents of different tasks (the root element of MAE) are not put together. Parts keep
copies of an abstract together and are JSON lines, which `convert` takes."""

ELECTRA_EXAMPLES = """examples:
  bioutils convert-electra pretrained/model.ckpt-1000000 --vocabulary vocab.txt --out outputs/bioelectra
  bioutils convert-electra pretrained/model.ckpt-1000000 --generator --out outputs/bioelectra-generator

The checkpoint is named without an ending. With its vocabulary the folder is an encoder for every notebook:
  bioutils run 10 -p encoder=outputs/bioelectra"""

DATA_EXAMPLES = """examples:
  bioutils data list
  bioutils data fetch go
  BIOUTILS_DATA=/data/corpora bioutils data check go"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="bioutils", description="Notebooks and tools for biomedical text transformers."
    )
    parser.add_argument("--version", action="version", version=f"bioutils {__version__}")
    subcommands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    run = _add(subcommands, "run", "execute notebooks and make the report of the run", RUN_EXAMPLES)
    run.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="number, name or path; all where none is given")
    run.add_argument("--profile", default="quick", help="name of a profile or a YAML file (default: %(default)s)")
    run.add_argument("-p", dest="parameters", action="append", default=[], metavar="KEY=VALUE", help="set a parameter")
    run.add_argument("--grid", action="append", default=[], metavar="KEY=V1,V2", help="run once for each value")
    run.add_argument("--cores", type=_at_least(1), metavar="N", help="cores to use (default: all)")
    run.add_argument("--executor", metavar="NAME", help="Snakemake executor, such as slurm, with its plugin installed")
    run.add_argument("--out", type=Path, metavar="DIR", help="run folder (default: outputs/PROFILE)")
    run.add_argument(
        "--timeout", type=_at_least(0), metavar="SECONDS", help="limit a cell; 0 for none (default: 4 hours)"
    )
    run.add_argument("--dry-run", action="store_true", help="check everything, say what would run, run nothing")
    run.add_argument("--force", action="store_true", help="also run what is up to date")
    run.set_defaults(call=commands.run)

    score = _add(subcommands, "score", "GO-aspect probabilities of abstracts and their sentences", SCORE_EXAMPLES)
    _add_abstracts(score)
    score.add_argument("--out", type=Path, required=True, metavar="FILE", help=".parquet, .csv, .xlsx or .jsonl")
    score.add_argument(
        "--model",
        metavar="PATH",
        help="folder of a saved classifier, head or adapter (default: data/models/go-aspect, which comes with the project)",
    )
    score.add_argument(
        "--batch-tokens", type=_at_least(16), metavar="N", help="tokens scored at once: less needs less memory"
    )
    again = score.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on with an interrupted job")
    again.add_argument("--overwrite", action="store_true", help="replace earlier results")
    score.set_defaults(call=commands.score)

    tag = _add(subcommands, "tag", "entities in abstracts, by a trained tagger", TAG_EXAMPLES)
    _add_abstracts(tag)
    tag.add_argument("--model", required=True, metavar="PATH", help="folder of a saved tagger (notebook 10 makes one)")
    tag.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help=".jsonl, .json, .html, or a folder for brat"
    )
    tag.add_argument("--overwrite", action="store_true", help="replace earlier results")
    tag.set_defaults(call=commands.tag)

    report = _add(subcommands, "report", "make the page of a run again", "example:\n  bioutils report outputs/quick")
    report.add_argument("run", type=Path, metavar="RUN", help="the run's folder")
    report.set_defaults(call=commands.report)

    stats = _add(subcommands, "stats", "min, max, mean, spread and tests over repeated runs", STATS_EXAMPLES)
    stats.add_argument(
        "folders", nargs="+", type=Path, metavar="DIR", help="folder with .res files, or of finished runs"
    )
    stats.add_argument("--out", type=Path, metavar="FILE", help="a box plot of the scores (.png, .svg or .pdf)")
    stats.add_argument(
        "--exchanges",
        type=_at_least(100),
        default=10_000,
        metavar="N",
        help="of the randomisation test (default: %(default)s)",
    )
    stats.add_argument("--seed", type=int, default=0, help="of the randomisation test (default: %(default)s)")
    stats.set_defaults(call=commands.stats)

    agree = _add(subcommands, "agree", "how well annotators agree, and where they do not", AGREE_EXAMPLES)
    agree.add_argument("copies", nargs="+", metavar="[NAME=]PATH", help="one annotator's copies; two or more")
    agree.add_argument(
        "--out", type=Path, metavar="FILE", help="a page (.html), a report (.md), or all numbers (.json)"
    )
    agree.add_argument("--overwrite", action="store_true", help="replace earlier results")
    agree.set_defaults(call=commands.agree)

    convert = _add(subcommands, "convert", "annotations from one format to another", ANNOTATION_EXAMPLES)
    convert.add_argument("source", type=Path, metavar="IN", help="file, folder or archive")
    convert.add_argument("out", type=Path, metavar="OUT", help="file, or folder of MAE or brat")
    convert.add_argument("--to", metavar="FORMAT", help="mae, brat, bioc, jsonl or words; by default by OUT's ending")
    convert.add_argument("--from", dest="kind", default="", metavar="FORMAT", help="where it cannot be seen")
    convert.add_argument(
        "--task",
        default="",
        metavar="NAME",
        help="another name for the task, MAE's root (default: IN's, else Annotation)",
    )
    convert.add_argument("--categories", type=Path, metavar="FILE", help="tag-category file, for names in word JSON")
    convert.add_argument("--overwrite", action="store_true", help="replace earlier results")
    convert.set_defaults(call=commands.convert)

    corpus = _add(subcommands, "corpus", "report on annotated documents, merge them, split them", CORPUS_EXAMPLES)
    tools = corpus.add_subparsers(dest="action", metavar="report|merge|split", required=True)
    about = tools.add_parser("report", help="sizes, tags, values and links, as Markdown or a page")
    about.add_argument("--tokenizer", metavar="ENCODER", help="count sub-words too, by this encoder's vocabulary")
    about.add_argument("--each", action="store_true", help="a row a document too")
    about.set_defaults(call=commands.corpus_report)
    merge = tools.add_parser("merge", help="several into one, ids apart")
    merge.set_defaults(call=commands.corpus_merge)
    split = tools.add_parser("split", help="into parts, by abstract")
    split.add_argument("--part", action="append", default=[], metavar="NAME=SHARE", help="two or more")
    split.add_argument("--seed", type=int, default=0)
    split.set_defaults(call=commands.corpus_split)
    for tool, what in ((about, ".md or .html"), (merge, ".jsonl"), (split, "folder, new")):
        tool.add_argument("sources", nargs="+", metavar="IN", help="file, folder or archive")
        tool.add_argument("--out", type=Path, required=True, help=what)
        tool.add_argument("--overwrite", action="store_true", help="replace earlier results")

    data = _add(subcommands, "data", "list, fetch or check the corpora", DATA_EXAMPLES)
    actions = data.add_subparsers(dest="action", metavar="list|fetch|check", required=True)
    listing = actions.add_parser("list", help="the corpora, and where each was found")
    listing.set_defaults(call=commands.data_list)
    fetch = actions.add_parser("fetch", help="download corpora into the data root")
    fetch.add_argument("--url", help="take one corpus from here instead")
    fetch.add_argument("--overwrite", action="store_true", help="replace the files that are there")
    fetch.set_defaults(call=commands.data_fetch)
    check = actions.add_parser("check", help="read corpora to the end and say whether they are whole")
    check.add_argument("--sample", action="store_true", help="check the sample that comes with the project")
    check.set_defaults(call=commands.data_check)
    for action in (fetch, check):
        action.add_argument("names", nargs="+", metavar="NAME", help="as `bioutils data list` names them")
    for action in (listing, fetch, check):
        action.add_argument("--data-root", type=Path, metavar="DIR", help="default: $BIOUTILS_DATA, then data/raw")

    electra = _add(subcommands, "convert-electra", "an original TensorFlow checkpoint as an encoder", ELECTRA_EXAMPLES)
    electra.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="its path up to .index")
    electra.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder, new")
    electra.add_argument("--vocabulary", type=Path, metavar="FILE", help="the vocab.txt that it was trained with")
    electra.add_argument("--cased", action="store_true", help="the vocabulary keeps upper case")
    electra.add_argument("--generator", action="store_true", help="the generator in place of the discriminator")
    electra.add_argument("--heads", type=_at_least(1), metavar="N", help="of attention; default: 64 wide each")
    electra.add_argument("--overwrite", action="store_true", help="replace an earlier conversion")
    electra.set_defaults(call=commands.convert_electra)

    doctor = _add(
        subcommands, "doctor", "versions, device, encoders and corpora at hand", "example:\n  bioutils doctor"
    )
    doctor.set_defaults(call=commands.doctor)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of a call; ``argv`` is without the program's name."""
    arguments = build_parser().parse_args(argv)
    try:
        code = arguments.call(arguments)
        sys.stdout.flush()  # a closed pipe shows here, not in the interpreter's shutdown
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as a shell reports SIGPIPE
    except KeyboardInterrupt:
        print("\nInterrupted. What was finished is kept.", file=sys.stderr)
        return 130
    except (BioutilsError, OSError) as error:
        if os.environ.get("BIOUTILS_DEBUG"):
            raise
        print(f"bioutils {arguments.command}: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 1)


def _add(subcommands, name: str, help_text: str, examples: str) -> argparse.ArgumentParser:
    return subcommands.add_parser(
        name,
        help=help_text,
        description=help_text[0].upper() + help_text[1:] + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_abstracts(parser: argparse.ArgumentParser) -> None:
    """The arguments of a command that reads abstracts."""
    parser.add_argument(
        "inputs", nargs="+", type=Path, metavar="INPUT", help="PubMed XML, nbib, RIS, JSONL, CSV, TSV, text"
    )
    parser.add_argument(
        "--column", action="append", default=[], metavar="FIELD=HEADER", help="CSV/TSV column of id, title or abstract"
    )


def _at_least(smallest: int):
    def whole_number(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < smallest:
            raise argparse.ArgumentTypeError(f"expected a whole number, {smallest} or more, found {text!r}")
        return int(text)

    return whole_number
