import numpy as np
import pytest

from bioutils.corpora.records import Document
from bioutils.corpora.tags import illegal
from bioutils.errors import DataError, UsageError
from bioutils.taggers import load_tagger, new_tagger, save_tagger
from bioutils.tagging import tag_documents
from bioutils.training.results import save_whole

LABELS = ["O", "B-x", "I-x", "B-y", "I-y"]
SENTENCES = [["growth", "of", "cells"], ["zinc"], ["the", "membrane", "of"] * 30, ["was"] * 9]


def saved(tagger, folder, **notes):
    return save_whole(folder, {"scheme": "IOB2", "max_length": 32, **notes}, save_tagger(tagger))


@pytest.mark.parametrize("head", ["softmax", "crf"])
def test_a_saved_tagger_says_the_same(head, encoder_dir, tmp_path):
    tagger = new_tagger(LABELS, encoder=str(encoder_dir), head=head, max_length=32)
    loaded = load_tagger(saved(tagger, tmp_path / "model"))
    assert loaded.labels == LABELS
    assert loaded.types == ["x", "y"]
    tags, sure = tagger.tag_units(SENTENCES)
    again, as_sure = loaded.tag_units(SENTENCES)
    assert tags == again
    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(sure, as_sure, strict=True))
    assert list(map(len, tags)) == list(map(len, SENTENCES)), "a tag a unit, windows or not"
    assert all(((s > 0) & (s <= 1)).all() for s in sure)
    if head == "crf":
        assert not any(illegal(line) for line in tags)


@pytest.mark.parametrize("head", ["softmax", "crf"])
def test_neighbours_change_nothing(head, encoder_dir):
    tagger = new_tagger(LABELS, encoder=str(encoder_dir), head=head, max_length=32)
    alone = [tagger.tag_units([words])[0][0] for words in SENTENCES]
    assert tagger.tag_units(SENTENCES)[0] == alone
    assert tagger.tag_units([]) == ([], [])
    assert tagger.tag_words([["zinc-growth", "of"]])[0] == tagger.tag_words([["zinc-growth", "of"], ["cells"]])[0]


def test_transformers_pipeline_finds_the_same_spans(tmp_path):
    """Untrained, so it finds many odd spans: a hard case for agreement."""
    from transformers import pipeline

    tagger = new_tagger(LABELS, encoder="minilm", seed=1)
    folder = saved(tagger, tmp_path / "model", temperature=1.0, max_length=128)
    texts = [
        "Interleukin-2 (IL-2) and NF-kappa_B were measured in CD4+ T cells.",
        "Activation of the c-fos/c-jun promoter by 12-O-tetradecanoylphorbol-13-acetate.",
        "α-Tubulin and β2-microglobulin, 5 µg/ml; p<0.05.",
    ]
    find = pipeline("token-classification", str(folder), aggregation_strategy="first", device="cpu")
    documents = tag_documents([Document(str(i), text) for i, text in enumerate(texts)], load_tagger(folder))
    n = 0
    for text, document in zip(texts, documents, strict=True):
        theirs = [(e["start"], e["end"], e["entity_group"]) for e in find(text)]
        assert [(s.start, s.end, s.type) for s in document.spans] == theirs
        n += len(theirs)
    assert n > 10


def test_a_corpus_of_other_types(encoder_dir):
    tagger = new_tagger(LABELS, encoder=str(encoder_dir))
    tagger.check_types(["x"])
    with pytest.raises(UsageError, match="Disease"):
        tagger.check_types(["x", "Disease"])


def test_what_is_no_tagger(encoder_dir, model_dir, tmp_path):
    with pytest.raises(UsageError, match="folder of a saved tagger"):
        load_tagger(tmp_path)
    with pytest.raises(UsageError, match="without a trained tagger"):
        load_tagger(encoder_dir)
    with pytest.raises(UsageError, match="head"):
        new_tagger(LABELS, encoder=str(encoder_dir), head="none")
    odd = saved(new_tagger(["good", "bad"], encoder=str(encoder_dir)), tmp_path / "odd")
    with pytest.raises(DataError, match="no tags"):
        load_tagger(odd)
    broken = saved(new_tagger(LABELS, encoder=str(encoder_dir), head="crf"), tmp_path / "broken")
    (broken / "crf.safetensors").write_bytes(b"no")
    with pytest.raises(DataError, match="Train it again"):
        load_tagger(broken)
