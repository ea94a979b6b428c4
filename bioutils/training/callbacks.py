"""What happens beside the training steps."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from transformers import TrainerCallback

from bioutils.embeddings import text_vectors
from bioutils.features import cut_ids


class JsonLines(TrainerCallback):
    """Writes each of the Trainer's log entries (loss, learning rate, validation scores) as one line of JSON.

    The file survives a crash up to its last line. When training resumes, entries past the checkpoint are dropped,
    so that no step is in the file twice.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)

    def on_train_begin(self, args, state, control, **kwargs):
        """Keeps the entries up to the step that training starts from."""
        if not state.is_world_process_zero:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = []
        if state.global_step and self.path.exists():
            lines = self.path.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= state.global_step]
        self.path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Adds one line."""
        if state.is_world_process_zero and logs:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"step": state.global_step, **logs}) + "\n")


class RecordEmbeddings(TrainerCallback):
    """Keeps the vectors of a fixed sample of texts before training and after each epoch, and the answers to them.

    For the HF Trainer and for ``loop.train_natively`` alike. ``vectors`` (epochs + 1, texts, width) and ``predictions``
    (epochs + 1, texts) afterwards; ``seconds`` is what the recording took. Training is not disturbed: nothing is drawn at
    random, and the model's mode is put back. When training resumes, the record begins at the epoch resumed from.
    """

    def __init__(self, texts: Sequence[str], *, max_length: int = 128, pooling: str = "cls"):
        self.texts, self.max_length, self.pooling = list(texts), max_length, pooling
        self.seconds = 0.0
        self._vectors: list[np.ndarray] = []
        self._predictions: list[np.ndarray] = []
        self._ids: list[list[int]] | None = None

    @property
    def vectors(self) -> np.ndarray:
        """(epochs + 1, texts, width), float32."""
        return np.stack(self._vectors)

    @property
    def predictions(self) -> np.ndarray:
        """The class answered, (epochs + 1, texts)."""
        return np.stack(self._predictions)

    def _record(self, model, tokenizer) -> None:
        started = time.perf_counter()
        if self._ids is None:
            self._ids = cut_ids(tokenizer, self.texts, max_length=self.max_length)[0]
        vectors, logits = text_vectors(model, tokenizer, self._ids, pooling=self.pooling)
        self._vectors.append(vectors)
        self._predictions.append(logits.argmax(1))
        self.seconds += time.perf_counter() - started

    def on_train_begin(self, args, state, control, model=None, processing_class=None, **kwargs):
        """Records the start; forgets what an earlier training left here."""
        self.seconds, self._vectors, self._predictions, self._ids = 0.0, [], [], None
        self._record(model, processing_class)

    def on_epoch_end(self, args, state, control, model=None, processing_class=None, **kwargs):
        """Records an epoch."""
        self._record(model, processing_class)
