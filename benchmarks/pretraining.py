"""Pre-training ELECTRA, how fast: real tokens a second against a plain HF Trainer with the same two networks.

The plain way is what one writes first: a sentence a row, padded to 128 tokens; the library's collator for masks; the generator's
prediction over the vocabulary at every place; float32. Padding is not counted as text. On a GPU also the share of the device's
useful operations (model FLOP utilisation), from the products that the objective needs.
"""

import tempfile
from pathlib import Path

import torch
from transformers import DataCollatorForLanguageModeling, Trainer, TrainingArguments

from bioutils.device import choose_device
from bioutils.files import read_lines
from bioutils.training.electra.build import build
from bioutils.training.electra.flops import products_a_token
from bioutils.training.electra.objective import Electra
from bioutils.training.electra.pretrain import pretrain
from bioutils.training.electra.settings import sized
from bioutils.training.electra.shards import Examples
from bioutils.training.electra.suite_text import gather

from common import arguments, machine

PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # dense bfloat16 operations a second, as the makers state them


class Plain(Trainer):
    """ELECTRA's loss over all places, by the library's own means."""

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        """Both losses of a batch."""
        labels, mask = inputs["labels"], inputs["attention_mask"]
        chosen = labels != -100
        logits = model.generator(inputs["input_ids"], attention_mask=mask).logits
        generator_loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        with torch.no_grad():
            drawn = torch.distributions.Categorical(logits=logits[chosen]).sample()
        filled = inputs["input_ids"].clone()
        filled[chosen] = drawn
        replaced = torch.zeros_like(filled)
        replaced[chosen] = (drawn != labels[chosen]).long()
        found = model.discriminator(filled, attention_mask=mask, labels=replaced)
        return generator_loss + 50 * found.loss


def plain(sentences: list[str], tokenizer, settings, out: Path) -> float:
    """Real tokens a second."""
    torch.manual_seed(settings.seed)
    rows = tokenizer(sentences, truncation=True, max_length=128, padding="max_length", return_token_type_ids=False)
    data = [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
    training = TrainingArguments(
        output_dir=str(out), max_steps=settings.steps, per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate, report_to="none", save_strategy="no", disable_tqdm=True,
        use_cpu=choose_device().type == "cpu", remove_unused_columns=False, logging_strategy="no", seed=settings.seed,
    )  # fmt: skip
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
    trainer = Plain(Electra(settings, tokenizer), training, train_dataset=data, data_collator=collator)
    seconds = trainer.train().metrics["train_runtime"]
    real = sum(sum(row["attention_mask"]) for row in data) / len(data)
    return settings.steps * settings.batch_size * real / seconds


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument(
        "--examples", type=Path, help="folder that `electra build` wrote; by default made of the sample"
    )
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--layers", type=int, default=4)
    call = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = call.examples or Path(work) / "examples"
        if not call.examples:
            gather(Path(work) / "text", sample=True)
            build(sorted((Path(work) / "text").glob("*.txt")), folder, validation=0.05, progress=False)
        examples = Examples(folder)
        settings = sized("tiny", steps=call.steps, batch_size=call.batch_size, layers=call.layers)
        n = call.steps * call.batch_size
        lines = [line for _, line in read_lines(folder / "sentences.txt") if line]
        sentences = (lines * (n // len(lines) + 1))[:n]
        speeds = {"plain": [], "ours": []}
        for repeat in range(call.repeats):
            speeds["plain"].append(plain(sentences, examples.tokenizer(), settings, Path(work) / f"plain-{repeat}"))
            out = Path(work) / f"ours-{repeat}"
            ours = pretrain(examples, out, settings=settings, evaluate_every=10**9, progress=False)
            speeds["ours"].append(ours.tokens / float(ours.history["seconds"].iloc[-1]))
        middle = {name: sorted(values)[len(values) // 2] for name, values in speeds.items()}
        print(f"ELECTRA, {call.layers} layers × {settings.hidden_size}, {call.batch_size} rows a step ({machine()})")
        print("| way | real tokens a second | ratio |\n|---|---|---|")
        for name, speed in middle.items():
            print(f"| {name} | {speed:,.0f} | {speed / middle['plain']:.1f} |")
        a_token = products_a_token(settings, vocabulary=examples.facts["vocab_size"], tokens=examples.facts["length"])
        a_second = a_token * middle["ours"]
        print(
            f"useful operations: {a_token / 1e6:.1f} million a token, {a_second / 1e9:,.0f} thousand million a second"
        )
        if torch.cuda.is_available():
            peak = next((v for k, v in PEAK.items() if k in torch.cuda.get_device_name()), None)
            if peak:
                print(
                    f"model FLOP utilisation {a_second / peak:.1%}; at all of it {peak / a_token:,.0f} tokens a second"
                )


if __name__ == "__main__":
    main()
