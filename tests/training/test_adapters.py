from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from bioutils.encoders import load_classifier
from bioutils.errors import DataError, UsageError
from bioutils.heads.classification import n_weights
from bioutils.inference import predict_logits
from bioutils.models import load_model
from bioutils.training.adapters import with_lora
from bioutils.training.arguments import TrainingSettings
from bioutils.training.loop import train_natively

SETTINGS = TrainingSettings(
    epochs=30, batch_size=6, learning_rate=0.02, max_length=16, precision="fp32", patience=0, seed=1
)


def test_training_starts_at_the_model_as_it_was_and_moves_few_weights(encoder_dir):
    model = load_classifier(str(encoder_dir), labels=list("abc"), seed=0)
    inputs = {"input_ids": torch.tensor([[2, 5, 7, 3]]), "attention_mask": torch.ones(1, 4, dtype=torch.long)}
    before = model(**inputs).logits
    adapted = with_lora(model, rank=2, alpha=4).eval()
    assert torch.allclose(adapted(**inputs).logits, before, atol=1e-6)
    # By layer and matrix r·(in + out): four of 16 × 16, two of 16 × 32; pooler 16 × 16 + 16 and head 3 × 16 + 3 whole.
    assert n_weights(adapted) == 2 * (4 * 32 + 2 * 48) + (256 + 16) + (48 + 3)
    with pytest.raises(UsageError, match="rank"):
        with_lora(model, rank=0)


@pytest.fixture(scope="module")
def adapted(tiny_dataset, encoder_dir, tmp_path_factory):
    out = tmp_path_factory.mktemp("lora")
    return train_natively(
        tiny_dataset, encoder=str(encoder_dir), settings=SETTINGS, out=out, progress=False, lora_rank=4
    )


def test_the_adapter_alone_is_saved_and_loads_to_the_same_predictions(adapted, tiny_dataset, encoder_dir):
    assert adapted.history["validation_accuracy"].max() > 0.9
    saved = load_file(adapted.model_dir / "adapter_model.safetensors")
    assert all("lora" in name or "classifier" in name or "pooler" in name for name in saved)
    assert not (adapted.model_dir / "model.safetensors").exists()
    assert sorted(p.name for p in adapted.model_dir.iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors", "bioutils.json"
    ]  # fmt: skip
    model, tokenizer, labels, notes = load_model(adapted.model_dir)
    assert labels == tiny_dataset["train"].features["label"].names
    assert notes["lora_rank"] == 4
    rows = tiny_dataset["validation"]
    logits = predict_logits(model, tokenizer, rows["text"][:], max_length=16, bf16=False).logits
    best = adapted.history["validation_accuracy"][adapted.best_epoch - 1]
    assert (logits.argmax(1) == rows["label"][:]).mean() == best


def test_a_damaged_adapter_is_one_message(adapted, tmp_path):
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(adapted.model_dir, folder)
    file = folder / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(DataError, match="adapter cannot be used"):
        load_model(folder)


def test_resuming_adapters_bit_for_bit(adapted, tiny_dataset, encoder_dir, tmp_path):
    from transformers import TrainerCallback

    class Stop(TrainerCallback):
        def on_log(self, args, state, control, **kwargs):
            if state.epoch == 2:
                raise KeyboardInterrupt

    call = {"encoder": str(encoder_dir), "settings": SETTINGS, "out": tmp_path, "progress": False}
    with pytest.raises(KeyboardInterrupt):
        train_natively(tiny_dataset, lora_rank=4, callbacks=[Stop()], **call)
    with pytest.raises(UsageError, match="lora_rank 4 in the checkpoint, 0 in this run"):
        train_natively(tiny_dataset, resume=True, **call)
    with pytest.raises(UsageError, match="settings: epochs 30 in the checkpoint, 31 in this run"):
        train_natively(tiny_dataset, lora_rank=4, resume=True, **call | {"settings": replace(SETTINGS, epochs=31)})
    resumed = train_natively(tiny_dataset, lora_rank=4, resume=True, **call)
    first, second = (load_file(r.model_dir / "adapter_model.safetensors") for r in (adapted, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)
