import pandas as pd
import pytest

from bioutils.errors import UsageError
from bioutils.run_analysis import analyse, combined, course_figure, epoch_table, head_scores, label_means, own_tables

F1 = {  # head → fold → F1 at epochs 1, 2, 3; fold 1 stopped after two
    "category": {0: (0.2, 0.6, 0.9), 1: (0.4, 0.8)},
    "effect": {0: (0.5, 0.1, 0.9), 1: (0.5, 0.3)},
}


@pytest.fixture
def history():
    rows = [
        {"epoch": e, "part": part, "head": head, "fold": fold, "train_loss": 1 / e, "loss": e - f1, "precision": f1, "recall": f1,
         "f1": f1 - (part == "test") / 10, "accuracy": f1}
        for head, folds in F1.items() for fold, course in folds.items() for e, f1 in enumerate(course, 1)
        for part in ("validation", "test")
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture
def records(tmp_path, history):
    found = []
    for name, shift in (("a", 0.0), ("b", 0.05)):
        folder = tmp_path / name
        folder.mkdir()
        history.assign(f1=history["f1"] + shift).to_csv(folder / "history.csv", index=False)
        labels = [("category", "GENE", 0, 0.5, 3), ("category", "GENE", 1, 0.7, 2), ("effect", "more", 0, 1.0, 1)]
        table = pd.DataFrame(labels, columns=["head", "label", "fold", "f1", "support"]).assign(part="test")
        table.assign(precision=table["f1"], recall=table["f1"]).to_csv(folder / "labels.csv", index=False)
        found.append(
            {
                "name": name,
                "folder": str(folder),
                "finished": "2026",
                "parameters": {"rate": shift},
                "scores": {"f1": shift},
            }
        )
    return found


def test_the_best_epoch_by_validation_among_those_all_folds_reached(history):
    table = epoch_table(history).set_index("head")
    assert table["best epoch"].to_dict() == {"category": 2, "effect": 1, "all (mean)": 2}
    assert table.loc["category", "validation"] == pytest.approx(0.7)
    assert table.loc["category", "test"] == pytest.approx(0.6)
    assert table.loc["all (mean)", "validation"] == pytest.approx((0.6 + 0.8 + 0.1 + 0.3) / 4)
    assert (table["last epoch"] == 2).all()
    assert table.loc["effect", "validation at last"] == pytest.approx(0.2)
    assert epoch_table(history, metric="loss", heads=["category"])["best epoch"].tolist() == [1]  # least
    scores = head_scores(history, "validation", 2)
    assert scores.loc["mean", "recall"] == pytest.approx(0.45)


def test_a_head_that_is_never_asked_has_no_best_epoch(history):
    never = (history["head"] == "effect") & (history["part"] == "validation")
    table = epoch_table(history.assign(f1=history["f1"].mask(never))).set_index("head")
    assert table["best epoch"].to_dict() == {"category": 2, "effect": 2, "all (mean)": 2}
    assert pd.isna(table.loc["effect", "validation"])
    assert table.loc["all (mean)", "validation"] == pytest.approx(0.7)  # of the head that was asked


def test_heads_as_one_number(history):
    one = combined(history, "f1", how="geometric").set_index(["fold", "part", "epoch"])["f1"]
    assert one[0, "validation", 2] == pytest.approx((0.6 * 0.1) ** 0.5)
    assert combined(history, "loss", heads=["effect"], how="sum")["loss"].max() == pytest.approx(2.1)
    with pytest.raises(UsageError, match="geometric"):
        combined(history, "f1", how="median")
    with pytest.raises(UsageError, match="effect"):
        combined(history, "f1", heads=["link"])


def test_a_label_over_folds(records):
    found = label_means(own_tables(records, "labels.csv")[0][1]).set_index("label")
    assert found.loc["GENE", ["f1", "f1_low", "f1_high", "support"]].tolist() == [0.6, 0.5, 0.7, 5]


def test_a_report_of_runs(records, tmp_path):
    others = [
        {**records[0], "name": "old"},
        *records,
        {**records[0], "name": "notebook", "folder": str(tmp_path / "nowhere")},
    ]
    report = analyse(others, tmp_path / "out").read_text()
    assert "| a | 2026 | 0.0000 | 0.0000 |" in report
    assert "| old |" not in report  # whose folder a later run has taken
    assert "2 more on record" in report
    assert {p.name for p in (tmp_path / "out").iterdir()} >= {
        "f1.png",
        "loss.png",
        "runs.csv",
        "a-test.tex",
        "b-labels.csv",
    }
    assert pd.read_csv(tmp_path / "out" / "b-test.csv").set_index("head").loc["category", "f1"] == pytest.approx(0.65)


def test_runs_without_the_heads_in_question_are_left_out_and_counted(records, history, tmp_path):
    history[history["head"] == "effect"].to_csv(tmp_path / "b" / "history.csv", index=False)
    report = analyse(records, tmp_path / "out", heads=["category"]).read_text()
    assert "1 more on record have no head category.\n" in report
    assert "| a | 2026 |" in report
    assert "## b" not in report
    assert "| b |" not in report
    assert not (tmp_path / "out" / "b-test.csv").exists()
    both = analyse(records, tmp_path / "both", heads=["category", "effect"]).read_text()
    assert "more on record" not in both
    axes = course_figure(
        {"a": history, "b": history[history["head"] == "effect"]}, "f1", part="test", heads=["category"]
    )
    assert [line.get_label() for line in axes[0].lines] == ["a"]


def test_what_cannot_be_analysed(records, tmp_path):
    for wrong, message in (({"metric": "auc"}, "metric"), ({"heads": ["link"]}, "link"), ({"by": ["x"]}, "rate")):
        with pytest.raises(UsageError, match=message):
            analyse(records, tmp_path / "out", **wrong)
    with pytest.raises(UsageError, match="no run"):
        analyse([], tmp_path / "out")
    with pytest.raises(UsageError, match="folds"):
        analyse([{**records[0], "folder": str(tmp_path / "nowhere")}], tmp_path / "out")
