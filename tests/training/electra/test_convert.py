"""data/model.ckpt-3 was written by TensorFlow 2.21's Saver: both networks, two moments of Adam, the step. Its numbers follow from
the variables' names, so that the test knows them."""

import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import ElectraForMaskedLM, ElectraForPreTraining

from bioutils.cli import main
from bioutils.encoders import load_encoder, load_tokenizer
from bioutils.errors import DataError, UsageError
from bioutils.training.electra import convert as module
from bioutils.training.electra.convert import convert, torch_name
from bioutils.training.electra.tf_checkpoint import read_index, read_variables

CHECKPOINT = Path(__file__).parent / "data" / "model.ckpt-3"


def value(name: str, *shape: int) -> np.ndarray:
    return ((zlib.crc32(name.encode()) % 1000 + np.arange(np.prod(shape))) / 1000).astype("f").reshape(shape)


@pytest.fixture
def copy(tmp_path) -> Path:
    for path in CHECKPOINT.parent.glob("model.ckpt-3.*"):
        shutil.copy(path, tmp_path)
    return tmp_path / CHECKPOINT.name


def test_variables_are_read_as_they_were_written():
    found = read_variables(CHECKPOINT)
    assert len(found) == 85
    assert found["global_step"] == 3
    kernel = "electra/encoder/layer_1/attention/self/query/kernel"
    assert np.array_equal(found[kernel], value(kernel, 8, 8))
    assert found["generator_predictions/output_bias"].shape == (11,)
    assert not found["electra/embeddings/word_embeddings/adam_m"].any()


def test_the_discriminator(tmp_path):
    counts = convert(CHECKPOINT, tmp_path / "out")
    assert counts == {"weights converted": 43, "of the other network": 39, "of the optimiser": 3}
    weights = ElectraForPreTraining.from_pretrained(tmp_path / "out").state_dict()
    kernel = "electra/encoder/layer_0/intermediate/dense/kernel"
    there = weights["electra.encoder.layer.0.intermediate.dense.weight"]
    assert torch.equal(there, torch.tensor(value(kernel, 8, 32).T))
    gamma = "electra/embeddings/LayerNorm/gamma"
    assert torch.equal(weights["electra.embeddings.LayerNorm.weight"], torch.tensor(value(gamma, 4)))
    last = "discriminator_predictions/dense_1/kernel"
    there = weights["discriminator_predictions.dense_prediction.weight"]
    assert torch.equal(there, torch.tensor(value(last, 8, 1).T))


def test_the_generator_shares_its_table(tmp_path):
    counts = convert(CHECKPOINT, tmp_path / "out", generator=True)
    assert counts["weights converted"] == 44
    model = ElectraForMaskedLM.from_pretrained(tmp_path / "out")
    assert model.config.hidden_size == 6
    assert model.config.num_hidden_layers == 2
    table = torch.tensor(value("electra/embeddings/word_embeddings", 11, 4))
    assert torch.equal(model.generator_lm_head.weight, table)
    assert torch.equal(model.generator_lm_head.bias, torch.tensor(value("generator_predictions/output_bias", 11)))
    project = "generator/embeddings_project/kernel"
    assert torch.equal(model.electra.embeddings_project.weight, torch.tensor(value(project, 4, 6).T))


def test_the_command_makes_an_encoder(tmp_path, capsys):
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "p", "##5", "##3", "the", "gene", "."]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n")
    out = tmp_path / "out"
    call = ["convert-electra", str(CHECKPOINT), "--out", str(out), "--vocabulary", str(tmp_path / "vocab.txt")]
    assert main(call) == 0
    assert "43 weights converted" in capsys.readouterr().out
    tokenizer = load_tokenizer(str(out))
    assert tokenizer.tokenize("The p53 gene.") == ["the", "p", "##5", "##3", "gene", "."]
    with torch.no_grad():
        assert load_encoder(str(out))(**tokenizer("p53", return_tensors="pt")).last_hidden_state.shape == (1, 5, 8)
    assert main(call) == 2
    assert main([*call, "--overwrite", "--heads", "4"]) == 0
    assert main([*call, "--overwrite", "--heads", "3"]) == 2
    (tmp_path / "vocab.txt").write_text("a\nb\n")
    assert main([*call, "--overwrite"]) == 1
    assert "11, found 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "generator", "expected"),
    [
        ("electra/embeddings/word_embeddings", True, "electra.embeddings.word_embeddings.weight"),
        ("generator/encoder/layer_0/output/LayerNorm/gamma", False, None),
        ("electra/encoder/layer_0/output/LayerNorm/gamma", True, None),
        ("discriminator_predictions/dense/bias", True, None),
        ("bert/pooler/dense/kernel", False, ""),
    ],
)
def test_names(name, generator, expected):
    assert torch_name(name, generator=generator) == expected


def changed(monkeypatch, change) -> None:
    """``change`` is made to the variables before they are converted."""
    variables = dict(read_variables(CHECKPOINT))
    change(variables)
    monkeypatch.setattr(module, "read_variables", lambda checkpoint: variables)


def test_nothing_is_left_over_or_missing_in_silence(tmp_path, monkeypatch):
    bias = "discriminator_predictions/dense/bias"
    changed(monkeypatch, lambda v: v.update({"bert/pooler/dense/kernel": np.zeros((8, 8))}))
    with pytest.raises(DataError, match=r"1 variables are none of ELECTRA's: \['bert/pooler"):
        convert(CHECKPOINT, tmp_path / "out")
    changed(monkeypatch, lambda v: v.pop(bias))
    with pytest.raises(DataError, match=r"discriminator_predictions.dense.bias: \(8,\) expected, nothing found"):
        convert(CHECKPOINT, tmp_path / "out")
    changed(monkeypatch, lambda v: v.update({bias: np.zeros(9)}))
    with pytest.raises(DataError, match=r"\(8,\) expected, \(9,\) found"):
        convert(CHECKPOINT, tmp_path / "out")
    changed(monkeypatch, lambda v: v.clear())
    with pytest.raises(DataError, match="none of ELECTRA"):
        convert(CHECKPOINT, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_broken_checkpoints(copy):
    with pytest.raises(UsageError, match=r"Available: \['model.ckpt-3'\]"):
        read_index(copy.with_name("model.ckpt"))
    data = copy.with_name(f"{copy.name}.data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(DataError, match="cut short"):
        read_variables(copy)
    data.unlink()
    with pytest.raises(DataError, match="No such file"):
        read_variables(copy)
    index = copy.with_name(f"{copy.name}.index")
    whole = index.read_bytes()
    for broken in (whole[:-20], whole[:100], b"", whole[:50] + b"\xff" * 200 + whole[250:]):
        index.write_bytes(broken)
        with pytest.raises(DataError, match="Not the index"):
            read_index(copy)
