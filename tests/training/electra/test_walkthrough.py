import shutil
from dataclasses import replace

import pytest

from bioutils.encoders import load_tokenizer, resolve
from bioutils.errors import UsageError
from bioutils.training.electra.pretrain import pretrain
from bioutils.training.electra.walkthrough import load_networks, one_sentence


def test_one_sentence_token_by_token(examples, tiny, tmp_path):
    result = pretrain(examples, tmp_path, settings=replace(tiny, steps=2), progress=False)
    generator, discriminator = load_networks(tmp_path)
    tokenizer = load_tokenizer(str(result.model_dir))
    text = "p53 binds Akt in the nucleus after minutes."
    table = one_sentence(generator, discriminator, tokenizer, text, mask_share=0.5, seed=3)
    assert table["original"].tolist() == tokenizer.tokenize(text)
    chosen = table[table["chosen"]]
    assert len(chosen) == round(0.5 * len(table))
    assert set(chosen["read"]) - set(chosen["original"]) == {"[MASK]"}
    others = table[~table["chosen"]]
    assert (others["filled"] == others["original"]).all()
    assert (table["replaced"] == (table["filled"] != table["original"])).all()
    assert table["probability"].between(0, 1).all()
    assert table.equals(one_sentence(generator, discriminator, tokenizer, text, mask_share=0.5, seed=3))


def test_an_encoder_without_a_generator(examples, tiny, tmp_path):
    pretrain(examples, tmp_path / "run", settings=replace(tiny, steps=1), progress=False)
    shutil.copytree(tmp_path / "run" / "model", tmp_path / "other")
    shutil.copytree(tmp_path / "run" / "model", tmp_path / "other" / "generator")
    for folder, lacks in (
        (resolve("minilm"), "ElectraForMaskedLM in .*generator"), (tmp_path, "ElectraForMaskedLM"),
        (tmp_path / "other", "ElectraForMaskedLM in .*generator"), (tmp_path / "run" / "model", "ElectraForMaskedLM"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=f"Expected the folder to be a finished run, .* There is no {lacks}"):
            load_networks(folder)
    load_networks(resolve("electra-tiny"))
