"""The commands of pre-training: gather, build, pretrain, export, flops."""

import argparse
import dataclasses
import os
import sys
import typing
from pathlib import Path

from bioutils.errors import BioutilsError, UsageError, expected
from bioutils.files import read_lines
from bioutils.training.electra.settings import LENGTHS, SIZES, ElectraSettings, sized
from bioutils.training.electra.vocabulary import SIZE

EXAMPLE = """in order:
  python -m bioutils.training.electra gather --out outputs/text
  python -m bioutils.training.electra build outputs/text/*.txt --leave-out outputs/text/left-out.txt --out outputs/examples
  python -m bioutils.training.electra pretrain outputs/examples --out outputs/electra --steps 7400 \\
    --dropout 0 --start counts --warm-start 0.35
  python -m bioutils.training.electra export outputs/electra --out data/models/electra-tiny --overwrite

on several devices:
  accelerate launch -m bioutils.training.electra pretrain outputs/examples --out outputs/electra
"""


def parser() -> argparse.ArgumentParser:
    """The commands and their options; those of ``pretrain`` are the fields of ``ElectraSettings``."""
    formatter = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        prog="python -m bioutils.training.electra", description="Pre-train ELECTRA on raw text.", epilog=EXAMPLE,
        formatter_class=formatter,
    )  # fmt: skip
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    gather = commands.add_parser(
        "gather", help="write the text of the suite's corpora, and the test texts to leave out"
    )
    gather.add_argument("--out", type=Path, required=True, help="folder, new")
    gather.add_argument("--data-root", type=Path, help="folder with one sub-folder a corpus")
    gather.add_argument("--sample", action="store_true", help="the samples that come with the project")
    gather.set_defaults(run=run_gather)

    build = commands.add_parser("build", help="raw text to cleaned sentences, a vocabulary and packed examples")
    build.add_argument("text", nargs="+", type=Path, help="plain text, JSON lines or PubMed XML, also gzipped")
    build.add_argument("--out", type=Path, required=True, help="folder, new")
    build.add_argument(
        "--leave-out", nargs="*", type=Path, default=[], help="texts whose near copies are dropped, one a line"
    )
    build.add_argument("--vocabulary", metavar="MODEL", help="take this encoder's tokenizer instead of learning one")
    build.add_argument("--size", type=int, default=SIZE, help="pieces in the vocabulary (default: %(default)s)")
    build.add_argument("--lower-case", action=argparse.BooleanOptionalAction, default=True, help="(default: yes)")
    build.add_argument(
        "--strip-accents", action=argparse.BooleanOptionalAction, default=None, help="(default: as --lower-case)"
    )
    build.add_argument("--length", type=int, default=128, help="tokens a row (default: %(default)s)")
    build.add_argument(
        "--form", choices=("packed", "pairs"), default="packed",
        help="rows filled with running text, or two segments each as the original has them (default: %(default)s)",
    )  # fmt: skip
    build.add_argument(
        "--blank-lines", action=argparse.BooleanOptionalAction, default=True,
        help="a blank line ends a document (default: yes); else each plain-text file is one",
    )  # fmt: skip
    build.add_argument(
        "--validation", type=float, default=0.01, help="share of documents held back (default: %(default)s)"
    )
    build.add_argument("--seed", type=int, default=42)
    build.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="(default: %(default)s, the processors)"
    )
    build.add_argument("--overwrite", action="store_true", help="replace examples built before")
    build.set_defaults(run=run_build)

    pretrain = commands.add_parser("pretrain", help="train generator and discriminator on examples")
    pretrain.add_argument("examples", type=Path, help="folder that `build` wrote")
    pretrain.add_argument("--out", type=Path, required=True, help="folder of the run")
    pretrain.add_argument(
        "--size", choices=SIZES, default="tiny", help="where the settings start (default: %(default)s)"
    )
    pretrain.add_argument("--evaluate-every", type=int, default=500, help="steps (default: %(default)s)")
    pretrain.add_argument("--resume", action="store_true", help="go on from the last checkpoint under --out")
    pretrain.add_argument("--overwrite", action="store_true", help="replace the run under --out")
    for field in dataclasses.fields(ElectraSettings):
        known = typing.get_args(field.type)
        kind = {"choices": known} if known else {"type": field.type}
        pretrain.add_argument(
            f"--{field.name.replace('_', '-')}",
            default=None,
            **kind,
            help=f"{field.metadata['help']} ({_defaults(field)})",
        )
    pretrain.set_defaults(run=run_pretrain)

    export = commands.add_parser("export", help="a run's discriminator as an encoder to use and to give away")
    export.add_argument("folder", type=Path, help="folder of the run")
    export.add_argument("--out", type=Path, required=True, help="folder, new")
    export.add_argument(
        "--half", action=argparse.BooleanOptionalAction, default=True, help="weights in float16 (default: yes)"
    )
    export.add_argument("--generator", action="store_true", help="the generator too, for lessons")
    export.add_argument("--text", default="", metavar="WORDS", help="what was read, for the card")
    export.add_argument("--licence", default="not stated", metavar="WORDS", help="for the card")
    export.add_argument("--scores", type=Path, metavar="CSV", help="table of benchmarks/downstream.py, for the card")
    export.add_argument("--overwrite", action="store_true", help="replace an encoder exported before")
    export.set_defaults(run=run_export)

    flops = commands.add_parser("flops", help="what a pre-training costs in operations")
    flops.add_argument("--size", choices=SIZES, default="small", help="(default: %(default)s)")
    flops.add_argument("--vocabulary", type=int, default=30_522, help="pieces (default: %(default)s)")
    flops.add_argument(
        "--length", type=int, help=f"tokens a row (default: {', '.join(f'{s}: {n}' for s, n in LENGTHS.items())})"
    )
    flops.set_defaults(run=run_flops)
    return top


def _defaults(field: dataclasses.Field) -> str:
    """A setting's value in each size, or once where they do not differ."""
    values = {size: getattr(settings, field.name) for size, settings in SIZES.items()}
    if len(set(values.values())) == 1:
        return f"default: {field.default}"
    return ", ".join(
        f"{size}: {value:.3g}" if isinstance(value, float) else f"{size}: {value}" for size, value in values.items()
    )


def run_gather(call: argparse.Namespace) -> None:
    """Writes the suite's text."""
    from bioutils.training.electra.suite_text import gather

    if call.out.exists():
        raise UsageError(expected("--out", "a new folder", str(call.out), remedy="Remove it, or choose another."))
    for name, n in gather(call.out, data_root=call.data_root, sample=call.sample).items():
        print(f"{n:>8,} {'texts to leave out' if name == 'left-out.txt' else 'documents'}  {name}")
    print(call.out)


def run_build(call: argparse.Namespace) -> None:
    """Builds examples and prints the report."""
    from bioutils.training.electra.build import build, report_text

    options = {k: v for k, v in vars(call).items() if k not in ("command", "run", "text", "out", "leave_out")}
    paths = [path for path in call.text if path not in call.leave_out]
    left_out = [line for path in call.leave_out for _, line in read_lines(path) if line.strip()]
    print(report_text(build(paths, call.out, leave_out=left_out, **options)))
    print(call.out)


def run_pretrain(call: argparse.Namespace) -> None:
    """Pre-trains and prints the last scores."""
    from bioutils.training.electra.pretrain import pretrain
    from bioutils.training.electra.shards import Examples

    names = [field.name for field in dataclasses.fields(ElectraSettings)]
    changes = {name: getattr(call, name) for name in names if getattr(call, name) is not None}
    result = pretrain(
        Examples(call.examples), call.out, settings=sized(call.size, **changes), evaluate_every=call.evaluate_every,
        resume=call.resume, overwrite=call.overwrite, facts={"command": " ".join(sys.argv[1:])},
    )  # fmt: skip
    if not len(result.history):  # the first process alone looks at held-back text
        return
    if result.found:
        print(f"{call.out} was finished before with these settings: nothing was trained.")
    # Of a warm start and of detection, what the last steps had not is no number.
    print("\n".join(f"{name:>22} {value:,.4g}" for name, value in result.history.iloc[-1].dropna().items()))
    print(result.model_dir)


def run_export(call: argparse.Namespace) -> None:
    """Writes an encoder to use."""
    from bioutils.training.electra.export import export

    notes = {"text": call.text, "licence": call.licence}
    print(
        export(
            call.folder, call.out, half=call.half, generator=call.generator, overwrite=call.overwrite, notes=notes,
            scores=call.scores,
        )
    )  # fmt: skip


def run_flops(call: argparse.Namespace) -> None:
    """Prints operations, and what they mean in time."""
    from bioutils.training.electra.flops import electra_flops

    tokens = LENGTHS[call.size] if call.length is None else call.length
    total = electra_flops(SIZES[call.size], vocabulary=call.vocabulary, tokens=tokens)
    days = total / 1e14 / 86_400
    print(f"{total:.3e} operations: {days:,.2g} days of a device that does 100 TFLOP a second of useful work")


def main(arguments: list[str] | None = None) -> int:
    """The command's exit code: 0 done, 1 the work failed, 2 the call is wrong."""
    call = parser().parse_args(arguments)
    try:
        call.run(call)
    except BioutilsError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0
