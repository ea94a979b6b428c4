import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from bioutils.corpora.tags import from_spans
from bioutils.errors import UsageError
from bioutils.evaluation.spans import error_counts, evaluate_spans

seqeval = pytest.importorskip("seqeval.metrics.sequence_labeling", reason="seqeval is what the scores are held to")
scheme = pytest.importorskip("seqeval.scheme")

TAGS = ["O", "B-X", "I-X", "B-Y", "I-Y"]
LEGAL = st.lists(st.lists(st.sampled_from(TAGS), min_size=1, max_size=8), min_size=1, max_size=6)


@st.composite
def pairs(draw):
    gold = draw(LEGAL)
    return gold, [draw(st.lists(st.sampled_from(TAGS), min_size=len(tags), max_size=len(tags))) for tags in gold]


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None, max_examples=150)
@given(case=pairs())
def test_default_and_strict_are_seqevals(case):
    gold, predicted = case
    found = evaluate_spans(gold, predicted, n_bootstrap=2).metrics
    for average in ("micro", "macro", "weighted"):
        wanted = seqeval.precision_recall_fscore_support(gold, predicted, average=average, zero_division=0)
        assert [found[f"{average}_{what}"] for what in ("precision", "recall", "f1")] == pytest.approx(
            np.nan_to_num([float(x) for x in wanted[:3]])
        )
    strict = evaluate_spans(gold, predicted, strict=True, n_bootstrap=2).metrics
    wanted = seqeval.f1_score(gold, predicted, mode="strict", scheme=scheme.IOB2, zero_division=0)
    assert strict["micro_f1"] == pytest.approx(float(wanted))


@settings(deadline=None, max_examples=60)
@given(case=pairs())
def test_words_are_scikit_learns_without_o(case):
    gold, predicted = ([tag[2:] or "O" for tags in side for tag in tags] for side in case)
    types = sorted({*gold, *predicted} - {"O"})
    report = evaluate_spans(*case, n_bootstrap=2)
    if types:
        wanted = f1_score(gold, predicted, labels=types, average="micro", zero_division=0)
        assert report.metrics["word_micro_f1"] == pytest.approx(wanted)
        assert report.words["f1"].tolist()[: len(types)] == pytest.approx(
            f1_score(gold, predicted, labels=types, average=None, zero_division=0).tolist()
        )


@settings(deadline=None, max_examples=60)
@given(case=pairs())
def test_every_predicted_span_is_counted_once(case):
    report = evaluate_spans(*case, n_bootstrap=2)
    n_predicted = sum(report.errors[kind] for kind in report.errors if kind != "missed")
    from bioutils.corpora.tags import to_spans

    assert n_predicted == sum(len(to_spans(tags)) for tags in case[1])
    assert report.errors["exact"] <= report.per_type["support"].iloc[-1]
    assert report.metrics["micro_f1"] <= report.metrics["partial_f1"] + 1e-12
    assert report.metrics["micro_f1"] <= report.metrics["borders_f1"] + 1e-12


def test_errors_by_hand():
    from bioutils.corpora.tags import TokenSpan as S

    gold = [[S(0, 2, "X"), S(3, 4, "Y"), S(6, 9, "X"), S(10, 11, "Y")]]
    found = [[S(0, 2, "X"), S(3, 4, "X"), S(6, 8, "X"), S(12, 13, "X")]]
    assert error_counts(gold, found) == {
        "exact": 1, "wrong_type": 1, "wrong_borders": 1, "wrong_both": 0, "missed": 1, "invented": 1,
    }  # fmt: skip
    assert error_counts([[S(0, 3, "X")]], [[S(1, 2, "Y")]])["wrong_both"] == 1


def test_macro_is_not_weighted():
    gold = [["B-X", "O"]] * 9 + [["B-Y", "O"]]
    predicted = [["B-X", "O"]] * 9 + [["O", "O"]]
    found = evaluate_spans(gold, predicted, n_bootstrap=2).metrics
    assert found["macro_f1"] == 0.5
    assert found["weighted_f1"] == 0.9
    assert found["micro_f1"] == pytest.approx(18 / 19)


def test_the_interval_is_over_documents():
    rng = np.random.default_rng(0)
    gold, predicted, documents = [], [], []
    for document in range(20):
        right = rng.random() < 0.6
        for _ in range(10):
            gold.append(["B-X", "O", "O"])
            predicted.append(["B-X", "O", "O"] if right else ["O", "B-X", "O"])
            documents.append(str(document))
    by_sentence = evaluate_spans(gold, predicted).metrics
    by_document = evaluate_spans(gold, predicted, documents=documents).metrics
    width = lambda m: m["micro_f1_high"] - m["micro_f1_low"]  # noqa: E731
    assert width(by_document) > 2 * width(by_sentence)
    assert by_document["n_groups"] == 20
    assert by_document["micro_f1_low"] < by_document["micro_f1"] < by_document["micro_f1_high"]


def test_nothing_found_and_wrong_calls():
    found = evaluate_spans([["O"]], [["O"]], n_bootstrap=2)
    assert found.metrics["micro_f1"] == 0
    assert "micro average" in str(found)
    with pytest.raises(UsageError, match="Expected predicted tags of sentence 1 to be 2, one a word, found 1"):
        evaluate_spans([["O"], ["O", "O"]], [["O"], ["O"]])
    with pytest.raises(UsageError, match="tags of 1 sentences"):
        evaluate_spans([["O"]], [])


def test_other_schemes_give_the_same_scores():
    gold = [[(0, 2, "X"), (3, 4, "Y")], [(1, 4, "Y")]]
    predicted = [[(0, 2, "X"), (2, 4, "Y")], [(1, 4, "Y")]]
    scores = [
        evaluate_spans(
            [from_spans(s, 5, name) for s in gold],
            [from_spans(s, 5, name) for s in predicted],
            scheme=name,
            n_bootstrap=2,
        ).metrics["micro_f1"]
        for name in ("IOB1", "IOB2", "IOBES", "BILOU")
    ]
    assert scores == pytest.approx([2 / 3] * 4)
