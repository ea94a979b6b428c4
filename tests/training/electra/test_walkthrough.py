from dataclasses import replace

from bioutils.encoders import load_tokenizer
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
