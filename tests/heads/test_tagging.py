import pytest
import torch
from torch.nn.functional import cross_entropy

from bioutils.encoders import load_token_classifier
from bioutils.heads.tagging import NO_LABEL, TaggerWithCRF, labelled

LABELS = ["O", "B-x", "I-x"]


def test_labelled_tokens_move_to_the_left_in_their_order():
    logits = torch.arange(12.0).view(2, 6, 1)
    labels = torch.tensor([[NO_LABEL, 5, NO_LABEL, 6, 7, NO_LABEL], [NO_LABEL] * 5 + [8]])
    found, tags, mask = labelled(logits, labels)
    assert found[..., 0][mask].tolist() == [1, 3, 4, 11]
    assert tags[mask].tolist() == [5, 6, 7, 8]
    assert mask.tolist() == [[True] * 3, [True, False, False]]


def test_the_loss_is_that_of_the_gold_paths(encoder_dir):
    tagger = TaggerWithCRF(load_token_classifier(str(encoder_dir), labels=LABELS), LABELS, "IOB2")
    logits = torch.randn(3, 5, 3)
    labels = torch.tensor([[NO_LABEL, 1, NO_LABEL, 2, 0], [NO_LABEL, 0, 0, NO_LABEL, 1], [NO_LABEL] * 5])
    one = tagger.crf(logits[:1, [1, 3, 4]], labels[:1, [1, 3, 4]], torch.ones(1, 3))
    two = tagger.crf(logits[1:2, [1, 2, 4]], labels[1:2, [1, 2, 4]], torch.ones(1, 3))
    assert torch.allclose(tagger.summed_loss(logits, labels), one + two, rtol=1e-5)


def test_a_crf_without_scores_is_a_softmax(encoder_dir):
    tagger = TaggerWithCRF(load_token_classifier(str(encoder_dir), labels=LABELS), LABELS, "IOB2")
    for value in (*tagger.crf.parameters(), *tagger.crf.buffers()):
        value.data.zero_()
    logits, labels = torch.randn(2, 4, 3), torch.tensor([[NO_LABEL, 1, 2, 0], [NO_LABEL, 0, NO_LABEL, 1]])
    wanted = cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum", ignore_index=NO_LABEL)
    assert tagger.summed_loss(logits, labels).item() == pytest.approx(wanted.item(), rel=1e-5)
