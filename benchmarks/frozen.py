"""Thirty epochs of a frozen LSTM + CNN head: features computed once and mapped, against running the encoder in each epoch.

Ways with the same head sizes, texts and batches of 32:
earlier: as the relation experiments did, a sentence a forward pass and vectors padded to 500 words under torch's own LSTM and
convolution in float32, but the encoder in every epoch; plain, as one writes it first: the same in batches padded to 128
tokens; recomputed: our batches by length, bfloat16 where it pays and our LSTM, but still the encoder in every epoch; cached:
the encoder once, then the cache. Steps are timed on slices and multiplied; the cache's making is timed whole and counted.
The BERT-base shape has random weights: time does not mind.
"""

import statistics
import tempfile
import time

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bioutils.cache import FeatureSpec, cached_features, encode
from bioutils.corpora import load
from bioutils.device import autocast, bf16_pays, keep_freed_memory
from bioutils.encoders import load_encoder, load_tokenizer
from bioutils.errors import BioutilsError
from bioutils.features import pad_batch, tokenise
from bioutils.heads.classification import make_head
from bioutils.training.frozen import frozen_settings
from bioutils.training.loop import epoch_order, make_optimizer

from common import arguments, machine

HEAD, EPOCHS, BATCH, MAX_LENGTH = "CNN_RNN_parallel", 30, 32, 128


class PlainHead(nn.Module):
    """The same sizes by torch's own modules, as one writes it first: no mask."""

    def __init__(self, width: int):
        super().__init__()
        self.lstm = nn.LSTM(width, 200, 2, batch_first=True, bidirectional=True, dropout=0.5)
        self.convolution = nn.Conv1d(width, 3 * width, 3, padding=1)
        self.output = nn.Sequential(nn.Dropout(0.5), nn.Linear(3 * width + 400, 500), nn.ReLU(), nn.Linear(500, 3))

    def forward(self, vectors):
        first = self.lstm(vectors)[0][:, 0]
        return self.output(torch.cat([self.convolution(vectors.mT).relu().mean(2), first], -1))


def seconds_a_step(step, batches) -> float:
    """The median over some steps; the first two warm up and do not count."""
    times = []
    for batch in batches:
        started = time.perf_counter()
        step(batch)
        times.append(time.perf_counter() - started)
    return statistics.median(times[2:])


def trainer(head, optimizer):
    """A function that makes one step on vectors, mask and labels."""

    def step(vectors, mask, labels, bf16):
        optimizer.zero_grad()
        with autocast(bf16):
            logits = head(vectors) if mask is None else head(vectors, mask)
            loss = cross_entropy(logits, labels)
        loss.backward()
        optimizer.step()

    return step


def base_encoder():
    """BERT-base's shape: 12 layers × 768."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    return BertModel(BertConfig(), add_pooling_layer=False).eval()


def compare(name: str, model, tokenizer, rows, *, steps: int, folder: str) -> None:
    """Prints the table's three rows for one encoder."""
    texts, labels = rows["text"][:], torch.tensor(rows["label"][:])
    width, settings = model.config.hidden_size, frozen_settings(batch_size=BATCH, epochs=EPOCHS)
    n_steps = -(-len(texts) // BATCH)
    ids = tokenise(rows, tokenizer, max_length=MAX_LENGTH)["input_ids"][:]
    lengths = np.array([len(tokens) for tokens in ids])

    head = PlainHead(width)
    step = trainer(head, torch.optim.Adam(head.parameters(), lr=1e-3))

    def plain(batch):
        padded = tokenizer(
            [texts[i] for i in batch], padding="max_length", truncation=True, max_length=MAX_LENGTH, return_tensors="pt"
        )
        with torch.no_grad():
            vectors = model(input_ids=padded["input_ids"], attention_mask=padded["attention_mask"]).last_hidden_state
        step(vectors, None, labels[batch], bf16=False)

    def earlier(batch):
        vectors = torch.zeros(len(batch), 500, width)
        with torch.no_grad():
            for place, i in enumerate(batch):
                found = model(input_ids=torch.tensor([ids[i]])).last_hidden_state[0]
                vectors[place, : len(found)] = found
        step(vectors, None, labels[batch], bf16=False)

    shuffled = np.random.default_rng(0).permutation(len(texts))
    slices = [shuffled[i * BATCH : (i + 1) * BATCH] for i in range(steps + 2)]
    earlier_step, plain_step = seconds_a_step(earlier, slices[:5]), seconds_a_step(plain, slices)

    def ours():
        head = make_head(HEAD, width, 3)
        return trainer(head, make_optimizer(head, settings))

    by_length, order = ours(), epoch_order(lengths, rows_a_step=BATCH, seed=0)[: 3 * steps + 2]

    def recomputed(batch):
        inputs = pad_batch([ids[i] for i in batch], tokenizer)
        with torch.no_grad(), autocast():
            vectors = encode(model, inputs, layer=-1, pooling="tokens").float()
        by_length(vectors, inputs["attention_mask"], labels[batch], bf16=bf16_pays())

    again_step = seconds_a_step(recomputed, order)
    started = time.perf_counter()
    features = cached_features(
        texts, encoder=name, spec=FeatureSpec(max_length=MAX_LENGTH), folder=folder, model=model, tokenizer=tokenizer,
        progress=False,
    )  # fmt: skip
    once, from_disk = time.perf_counter() - started, ours()

    def cached(batch):
        found = features.batch(batch)
        from_disk(found.vectors, found.mask, labels[batch], bf16=bf16_pays())

    cached_step = seconds_a_step(cached, order)
    totals = {
        "earlier": EPOCHS * n_steps * earlier_step,
        "plain": EPOCHS * n_steps * plain_step,
        "recomputed": EPOCHS * n_steps * again_step,
        "cached": once + EPOCHS * n_steps * cached_step,
    }
    steps_of = {"earlier": earlier_step, "plain": plain_step, "recomputed": again_step, "cached": cached_step}
    for way, a_step in steps_of.items():
        extra = f"{once:.1f}" if way == "cached" else "–"
        ratios = " | ".join(f"{totals[slow] / totals[way]:.1f}" for slow in ("earlier", "plain"))
        print(f"| {name} | {way} | {1000 * a_step:.0f} | {extra} | {totals[way]:.0f} | {ratios} |")


def main() -> None:
    """Prints the table."""
    parser = arguments(__doc__.split("\n")[0])
    parser.add_argument("--texts", type=int, default=2000, help="training definitions")
    parser.add_argument(
        "--steps", type=int, default=8, help="steps timed of the plain way; three times as many of ours"
    )
    call = parser.parse_args()
    keep_freed_memory()
    try:
        rows = load("go", train_size=call.texts, eval_size=100)["train"]
    except BioutilsError:
        rows = load("go", sample=True)["train"]
    tokenizer = load_tokenizer("minilm")
    print(f"{machine()}; {len(rows)} definitions, {EPOCHS} epochs of {HEAD}, batches of {BATCH}\n")
    print("| encoder | way | ms a step | cache, s | seconds in all | earlier ÷ it | plain ÷ it |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        compare("MiniLM, 6 × 384", load_encoder("minilm"), tokenizer, rows, steps=call.steps, folder=folder)
        compare("BERT-base's shape, 12 × 768", base_encoder(), tokenizer, rows, steps=call.steps, folder=folder)


if __name__ == "__main__":
    main()
