"""What happens beside the training steps."""

import json
from pathlib import Path

from transformers import TrainerCallback


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
