"""The folder of a pre-training run: whose it is, whether it is finished, and what may be replaced there."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bioutils.errors import DataError, UsageError, expected
from bioutils.files import atomic_writer, read_json, read_lines, write_json
from bioutils.models import SIDECAR
from bioutils.training.checkpoints import differences, find_checkpoint

if TYPE_CHECKING:
    import pandas as pd

MARK = "pretraining.json"  # there from the first moment: what the run is of
HISTORY = "pretrain.jsonl"
EARLIER = {"objective": "electra"}  # settings that runs of before had no choice of


@dataclass(frozen=True)
class Pretraining:
    """Where the encoder (the discriminator) and the generator are (of objective mlm None), and how training went (``history``:
    one row a look at validation text).

    ``found``: the run was finished before, and nothing was trained.
    """

    model_dir: Path
    generator_dir: Path | None
    history: "pd.DataFrame"
    tokens: int
    seconds: float
    found: bool = False


class RunFolder:
    """``out`` with its parts. ``check`` it before anything is computed, then ``begin``."""

    def __init__(self, out: Path | str):
        self.out = Path(out)
        self.model, self.generator = self.out / "model", self.out / "generator"
        self.checkpoints, self.history = self.out / "checkpoints", self.out / HISTORY

    @property
    def last(self) -> Path | None:
        """The newest whole checkpoint."""
        return find_checkpoint(self.checkpoints / "last")

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Raises UsageError where training would replace what it did not make, or an earlier run unasked."""
        if resume and overwrite:
            raise UsageError("Expected one of resume and overwrite, found both. Go on with a run, or replace it.")
        if self.out.exists() and not self.out.is_dir():
            raise UsageError(expected("--out", "a folder", f"{self.out}, a file", remedy="Choose another --out."))
        if self.out.is_dir() and any(self.out.iterdir()):
            if not self._is_ours():
                raise UsageError(
                    f"{self.out} holds something else than a pre-training: nothing is written there. Choose another --out."
                )
            if not (resume or overwrite):
                raise UsageError(
                    f"{self.out} holds a run. Give --resume to go on with it, --overwrite to replace it, "
                    "or choose another --out."
                )

    def _is_ours(self) -> bool:
        if (self.out / MARK).is_file():
            return True
        # Runs of before the mark are known by their notes, or by those of their checkpoint.
        held = [read_json(path) for path in (self.model / SIDECAR, self._progress) if path.is_file()]
        held = [notes.get("identity", notes) for notes in held if isinstance(notes, dict)]
        return any(isinstance(n, dict) and "generator_share" in (n.get("settings") or {}) for n in held)

    @property
    def _progress(self) -> Path:
        return (self.last or self.checkpoints / "last") / "progress.json"

    def begin(self, wanted: dict[str, Any]) -> None:
        """Marks the folder as a run of ``wanted`` and clears an earlier one's course; its networks stay until the new are there.

        Raises BioutilsError where nothing can be written.
        """
        write_json(self.out / MARK, wanted)
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        self.history.unlink(missing_ok=True)

    def write_history(self, rows: list[dict[str, Any]]) -> None:
        """A line of JSON a look at held-back text."""
        with atomic_writer(self.history) as stream:
            stream.writelines(json.dumps(row, allow_nan=False) + "\n" for row in rows)

    def finished(self, wanted: dict[str, Any]) -> Pretraining:
        """The result of a run of ``wanted`` that was finished before. Raises UsageError where there is none to return."""
        missing = f"There is no checkpoint under {self.checkpoints} to go on from"
        notes = read_json(self.model / SIDECAR) if (self.model / SIDECAR).is_file() else {}
        settings = EARLIER | (notes.get("settings") or {})
        generator = None if settings["objective"] == "mlm" else self.generator
        if (
            not all((folder / SIDECAR).is_file() for folder in filter(None, (self.model, generator)))
            or not self.history.is_file()
        ):
            raise UsageError(f"{missing}. Start anew without --resume (with --overwrite where a run was begun).")
        facts = notes.get("examples", {})
        done = {"settings": settings, "vocabulary": facts.get("vocabulary")}
        done |= {"rows": facts.get("train_rows"), "length": facts.get("length")}
        if different := differences(done, wanted, "the finished run"):
            raise UsageError(
                f"{missing}, and the finished run there is another: {'; '.join(different)}. "
                "Call as then, or replace it with --overwrite."
            )
        try:
            history = history_table([json.loads(line) for _, line in read_lines(self.history)])
        except json.JSONDecodeError as error:
            raise DataError(
                f"Not JSON lines: {error.msg}. Replace the run with --overwrite.", path=self.history
            ) from None
        return Pretraining(self.model, generator, history, notes["tokens"], notes["seconds"], found=True)


def history_table(rows: list[dict[str, Any]]) -> "pd.DataFrame":
    """A row a look; a score that could not be had is NaN."""
    import pandas as pd

    table = pd.DataFrame(rows)
    return table.astype({"detection_auc": float}) if "detection_auc" in table else table
