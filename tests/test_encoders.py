from pathlib import Path

import pytest
import torch

from bioutils import encoders
from bioutils.encoders import drop_no_attention, freeze_lowest, load_encoder
from bioutils.errors import BioutilsError, UsageError


def test_minilm_is_at_hand_and_its_weights_are_verified(monkeypatch):
    assert encoders.is_cached("minilm")
    encoders._minilm_folder.cache_clear()
    monkeypatch.setattr(encoders, "MINILM_SHA256", "0" * 64)
    with pytest.raises(BioutilsError, match="sha256.*do not use it"):
        encoders.resolve("minilm")
    monkeypatch.undo()
    encoders._minilm_folder.cache_clear()


def test_the_encoder_of_our_own_is_at_hand_small_and_pretrained():
    assert encoders.is_cached("electra-tiny")
    assert sum(file.stat().st_size for file in Path(encoders.resolve("electra-tiny")).iterdir()) < 16e6
    torch.manual_seed(0)
    ours, untrained = (encoders.load_encoder(name) for name in ("electra-tiny", "random:electra-tiny"))
    assert ours.config == untrained.config or ours.config.to_diff_dict() == untrained.config.to_diff_dict()
    tokenizer = encoders.load_tokenizer("electra-tiny")
    assert tokenizer.tokenize("Phosphorylation of a kinase")[-1] == "kinase"
    weights = [m.get_input_embeddings().weight for m in (ours, untrained)]
    assert weights[0].dtype == torch.float32
    assert weights[0].shape == weights[1].shape == (len(tokenizer), 128)


def test_tokenizer_neither_cuts_nor_pads():
    tokenizer = encoders.load_tokenizer("minilm")  # its file says: cut and pad to 128
    assert [len(ids) for ids in tokenizer(["one", "cell " * 300])["input_ids"]] == [3, 302]


def test_head_depends_on_the_seed_alone(encoder_dir):
    def head(seed):
        return encoders.load_classifier(str(encoder_dir), labels=["x", "y"], seed=seed).classifier.weight

    torch.manual_seed(1)
    first = head(5)
    before = torch.get_rng_state()
    assert torch.equal(first, head(5))
    assert torch.equal(before, torch.get_rng_state())  # loading draws nothing from the run's own generator
    assert not torch.equal(first, head(6))


def test_labels_of_a_saved_classifier_must_agree(model_dir, encoder_dir):
    assert encoders.load_classifier(str(model_dir)).config.num_labels == 3
    with pytest.raises(UsageError, match="labels of"):
        encoders.load_classifier(str(model_dir), labels=["x", "y"])
    with pytest.raises(UsageError, match="without a trained classifier"):
        encoders.load_classifier(str(encoder_dir))


@pytest.mark.parametrize("name", ["nonsense", "/no/such/folder", "a/b/c", "./x"])
def test_names_that_are_none(name):
    with pytest.raises(UsageError, match="short name"):
        encoders.resolve(name)


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(UsageError, match=r"config\.json"):
        encoders.resolve(str(tmp_path))


def test_a_hub_name_without_a_network_is_one_error_naming_what_is_at_hand():
    encoders._hub_answers.cache_clear()
    with pytest.raises(BioutilsError, match=r"scibert.*At hand without a network: \['minilm', 'electra-tiny'\]"):
        encoders.load_tokenizer("scibert")


def test_attention_is_returned_when_asked_for(encoder_dir):
    model = encoders.load_encoder(str(encoder_dir), attention=True)
    out = model(torch.tensor([[2, 5, 3]]), output_attentions=True)
    assert out.attentions[0].shape == (1, 2, 3, 3)  # (batch, heads, tokens, tokens)


def test_a_tokenizer_without_vocabulary_is_refused(encoder_dir, tmp_path, monkeypatch):
    from transformers import AutoTokenizer, BertTokenizer

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *_, **__: BertTokenizer())
    with pytest.raises(BioutilsError, match="no vocabulary"):
        encoders.load_tokenizer(str(encoder_dir))


def test_an_untrained_encoder_of_the_same_shape(encoder_dir):
    name, labels = f"random:{encoder_dir}", ["a", "b"]
    trained = encoders.load_encoder(str(encoder_dir))
    first, again, other = (encoders.load_classifier(name, labels=labels, seed=seed) for seed in (1, 1, 2))
    table = [m.base_model.embeddings.word_embeddings.weight for m in (first, again, other)]
    assert torch.equal(table[0], table[1])
    assert not torch.equal(table[0], table[2])
    assert table[0].shape == trained.embeddings.word_embeddings.weight.shape
    assert first.config.id2label == {0: "a", 1: "b"}
    assert first.dtype == torch.float32
    assert encoders.load_tokenizer(name).get_vocab() == encoders.load_tokenizer(str(encoder_dir)).get_vocab()
    tagger = encoders.load_token_classifier(name, labels=labels, dropout=0.3)
    assert tagger.config.hidden_dropout_prob == 0.3
    drawn = [encoders.load_encoder(name).embeddings.word_embeddings.weight for _ in range(2)]
    assert not torch.equal(*drawn)


def test_attention_without_dropout_and_the_rest_with_it(encoder_dir):
    model = drop_no_attention(load_encoder(str(encoder_dir))).train()
    inside = [m.dropout.p for m in model.modules() if isinstance(getattr(m, "dropout", None), torch.nn.Dropout)]
    assert inside.count(0.0) == model.config.num_hidden_layers
    assert len(inside) > 2 * inside.count(0.0)
    ids = torch.tensor([[1, 2, 3, 2]])
    first, second = (model(input_ids=ids).last_hidden_state for _ in range(2))
    assert not torch.equal(first, second)  # other layers are dropped out still


def test_the_lowest_parts_of_an_encoder_are_left_as_they_are():
    for name in ("minilm", "electra-tiny"):
        for n, frozen in ((0, set()), (1, {"embeddings"}), (2, {"embeddings", "0"})):
            model = freeze_lowest(load_encoder(name), n)
            still = {weight for weight, p in model.named_parameters() if not p.requires_grad}
            parts = {w.split(".")[0] if w.startswith("embeddings.") else w.split(".")[2] for w in still}
            assert parts == frozen
    with pytest.raises(UsageError, match="Expected freeze to be 0 to 5, the parts of the encoder, found 6"):
        freeze_lowest(load_encoder("electra-tiny"), 6)
