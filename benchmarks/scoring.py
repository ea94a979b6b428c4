"""Scoring sentences: batched by length, in bfloat16 where it pays, against a loop over single sentences.

The plain way is the earlier system's: one sentence a forward pass, float32, cut at 100 tokens. Same weights.
"""

import numpy as np
import torch

from bioutils.corpora.obo import ASPECTS
from bioutils.encoders import load_classifier, load_tokenizer
from bioutils.evaluation.calibration import softmax
from bioutils.inference import predict_logits

from common import arguments, definitions, in_turn, machine


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--model", default="minilm", help="an encoder (its head stays untrained) or a saved classifier")
    call = parser.parse_args()
    texts = definitions(call.sentences)
    labels = None if "/" in call.model else list(ASPECTS)
    model, tokenizer = load_classifier(call.model, labels=labels), load_tokenizer(call.model)
    found: dict[str, np.ndarray] = {}

    def single() -> None:
        model.eval()
        rows = []
        for text in texts:
            inputs = tokenizer(text, max_length=100, truncation=True, padding=True, return_tensors="pt")
            with torch.no_grad():
                rows.append(torch.softmax(model(**inputs).logits, 1)[0].numpy())
        found["single"] = np.stack(rows)

    def batched() -> None:
        found["batched"] = softmax(predict_logits(model, tokenizer, texts, max_length=100).logits)

    seconds = in_turn({"single": single, "batched": batched}, repeats=call.repeats)
    difference = np.abs(found["single"] - found["batched"]).max()
    print(f"scoring {len(texts):,} sentences ({machine()})")
    print("| way | seconds | sentences a second | ratio | largest difference in a probability |\n|---|---|---|---|---|")
    for name, value in seconds.items():
        rate, ratio = len(texts) / value, seconds["single"] / value
        print(f"| {name} | {value:.2f} | {rate:.0f} | {ratio:.1f} | {difference if name == 'batched' else 0:.4f} |")


if __name__ == "__main__":
    main()
