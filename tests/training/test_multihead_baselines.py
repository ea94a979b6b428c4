from dataclasses import replace

import numpy as np
import pytest

from bioutils.corpora import project_data
from bioutils.corpora.mae import read_mae
from bioutils.errors import UsageError
from bioutils.heads.multihead import HeadSpec
from bioutils.training.multihead_baselines import baseline_folds
from bioutils.training.multihead_folds import Fold, make_folds
from bioutils.training.multihead_tasks import make_task

SPECS = (
    HeadSpec(name="category", kind="single_label", layer="category"),
    HeadSpec(name="context", kind="crf", layer="CONTEXT", scheme="BIO"),
    HeadSpec(name="effect", kind="multi_label", layer="EFFECT"),
    HeadSpec(name="link", kind="link", layer="link_only"),
)


@pytest.fixture(scope="module")
def task():
    return make_task(read_mae(project_data() / "sample" / "mae" / "anna"), SPECS)


@pytest.mark.parametrize("tagger", ["gazetteer", "feature-crf"])
def test_baselines_learn_something_and_stand_on_the_same_folds(task, tagger):
    found = baseline_folds(task, make_folds(task, folds=2, seed=1), tagger=tagger)
    assert list(found["head"]) == ["category", "context", "link"] * 2
    assert (found["f1"] > 0.3).all()
    assert found.loc[found["head"] != "link", "span_f1"].between(0.2, 1).all()


def test_where_nothing_is_asked_there_is_no_score():
    documents = read_mae(project_data() / "sample" / "mae" / "anna")[:6]
    task = make_task([d if i < 3 else replace(d, links=()) for i, d in enumerate(documents)], SPECS)
    rows = np.arange(3)
    found = baseline_folds(task, [Fold(rows, rows[:0], test) for test in (rows + 3, rows)]).set_index(["head", "fold"])
    assert found.loc["link", "f1"].isna().tolist() == [True, False]
    assert found.loc["category", "f1"].notna().all()


def test_what_was_seen_is_known(task):
    rows = np.arange(10)
    found = baseline_folds(task, [Fold(rows, rows[:0], rows)])
    assert (found.loc[found["head"] != "link", "recall"] > 0.8).all()  # names that are seldom marked are left out
    with pytest.raises(UsageError, match="known baseline"):
        baseline_folds(task, [], tagger="oracle")
