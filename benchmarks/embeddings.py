"""What recording the vectors of a sample at each epoch costs, as a share of the training beside it.

2,000 training definitions an epoch and two sizes of the sample: 300, notebook 06's, and 2,000, as many as are trained on. The
callback's own clock against the rest of the same run; two epochs, so three recordings.
"""

import os
import tempfile

from bioutils.corpora import load
from bioutils.errors import BioutilsError
from bioutils.training.arguments import TrainingSettings
from bioutils.training.callbacks import RecordEmbeddings
from bioutils.training.trainer import train_classifier

from common import arguments, machine


def main() -> None:
    """Prints the table."""
    parser = arguments(__doc__.split("\n")[0])
    parser.add_argument("--texts", type=int, default=2000, help="training definitions an epoch")
    call = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        dataset = load("go", train_size=call.texts, eval_size=call.texts)
    except BioutilsError:
        dataset = load("go", sample=True)
    settings = TrainingSettings(epochs=2, patience=0)
    print(f"{machine()}; {len(dataset['train'])} training definitions an epoch, {settings.epochs} epochs\n")
    print(
        "| texts recorded | recording, s | training, s | on top, an epoch | on top, with the start |\n|---|---|---|---|---|"
    )
    for size in (300, call.texts):
        recorder = RecordEmbeddings(dataset["test"]["text"][:size])
        with tempfile.TemporaryDirectory() as out:
            result = train_classifier(
                dataset, encoder="minilm", settings=settings, out=out, progress=False, callbacks=[recorder]
            )
        training = result.seconds - recorder.seconds
        share, whole = (
            recorder.seconds / len(recorder.vectors) / (training / settings.epochs),
            recorder.seconds / training,
        )
        print(f"| {len(recorder.texts)} | {recorder.seconds:.1f} | {training:.1f} | {share:.1%} | {whole:.1%} |")


if __name__ == "__main__":
    main()
