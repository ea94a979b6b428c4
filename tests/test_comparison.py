import json

import numpy as np
import pytest

from bioutils.cli import main
from bioutils.comparison import compare, describe, read_groups, table
from bioutils.errors import DataError, UsageError
from bioutils.result_files import Predictions, file_tag, read_pred, read_res, write_results

NAMES = ["a", "b", "c"]


def noisy(truth: np.ndarray, share: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(truth)) < share, rng.integers(0, 3, len(truth)), truth)


@pytest.fixture
def results(tmp_path):
    """Ten repeats of a better method and ten of a worse one."""
    truth = np.random.default_rng(0).integers(0, 3, 120)
    for name, share in (("good", 0.3), ("bad", 0.6)):
        repeats = [Predictions(truth, noisy(truth, share, seed)) for seed in range(10)]
        tag = file_tag(name, "minilm", "pgxcorpus", epochs=5, learning_rate=3e-5)
        write_results(tmp_path / name, tag, repeats, NAMES, losses=[(1, 1.5, 0.4), (2, 0.5, 0.7)])
    return tmp_path


def test_the_files_are_the_earlier_systems(results):
    stem = results / "good" / "good_minilm_pgxcorpus_ep5_lr3e-05result_local_macro"
    lines = stem.with_name(stem.name + ".res").read_text().splitlines()
    assert len(lines) == 10
    assert all(len(line.split()) == 3 for line in lines)
    pred = stem.with_name(stem.name + ".pred").read_text().splitlines()
    assert [line[:2] for line in pred[:4]] == ["Y ", "P ", "Y ", "P "]
    assert stem.with_name(stem.name + ".loss_acc").read_text() == "1 1.5 0.4\n2 0.5 0.7\n"
    assert "macro avg" in stem.with_name(stem.name + ".det").read_text()
    scores, repeats = read_res(stem.with_name(stem.name + ".res")), read_pred(stem.with_name(stem.name + ".pred"))
    assert scores.shape == (10, 3)
    from sklearn.metrics import f1_score

    assert scores[3, 2] == pytest.approx(f1_score(*repeats[3], average="macro"))


def test_an_earlier_header_is_passed_over(tmp_path):
    (tmp_path / "a.res").write_text("precision recall fscore .\n0.5 0.6 0.55\n0.7 0.8 0.75\n")
    assert read_res(tmp_path / "a.res").tolist() == [[0.5, 0.6, 0.55], [0.7, 0.8, 0.75]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0.5 0.6\n", "a.res:1: Expected a line"),
        ("0.5 0.6 x\n", "a.res:1"),
        ("0.5 0.6 55\n", "a.res:1"),
        ("precision recall fscore .\n", "No repeat"),
    ],
)
def test_bad_res(content, message, tmp_path):
    (tmp_path / "a.res").write_text(content)
    with pytest.raises(DataError, match=message):
        read_res(tmp_path / "a.res")


@pytest.mark.parametrize(
    ("content", "message"),
    [("P 1 2\n", "a.pred:1: Expected the line to be begun by Y"), ("Y 1 2\nY 1 2\n", "a.pred:2"), ("Y 1 2\nP 1\n", "1 predictions of 2"),
     ("Y 1 x\n", "Expected class numbers"), ("Y 1 2\n", "The last repeat has no predictions")],
)  # fmt: skip
def test_bad_pred(content, message, tmp_path):
    (tmp_path / "a.pred").write_text(content)
    with pytest.raises(DataError, match=message):
        read_pred(tmp_path / "a.pred")


def test_stats_reproduce_by_hand(results, capsys):
    good, bad = read_groups([results / "good", results / "bad"])
    row = table([good, bad]).query("score == 'fscore'").iloc[0]
    values = good.scores[:, 2]
    assert row["mean"] == pytest.approx(sum(values) / 10)
    assert row["std"] == pytest.approx((sum((v - sum(values) / 10) ** 2 for v in values) / 9) ** 0.5)
    assert row["high"] - row["mean"] == pytest.approx(2.262157 * row["std"] / 10**0.5, rel=1e-6)
    assert main(["stats", str(results / "good"), str(results / "bad"), "--out", str(results / "box.png")]) == 0
    printed = capsys.readouterr().out
    assert f"{row['mean']:.4f}" in printed
    assert f"{row['std']:.4f}" in printed
    assert "approximate randomisation p = " in printed
    assert "McNemar" in printed
    assert (results / "box.png").stat().st_size > 5000


def test_methods_are_never_mixed(results, capsys):
    groups = read_groups([results])
    assert [g.name.split("_")[0] for g in groups] == ["bad", "good"]
    assert all(g.scores.shape == (10, 3) for g in groups)


def test_the_same_tag_in_two_folders_is_told_apart(tmp_path):
    for folder in ("one", "two"):
        write_results(tmp_path / folder, "x", [Predictions(np.array([0, 1]), np.array([0, 1]))], NAMES)
    assert [g.name for g in read_groups([tmp_path / "one", tmp_path / "two"])] == ["one/x (macro)", "two/x (macro)"]


def test_other_examples_are_not_paired(results, tmp_path):
    good, bad = read_groups([results])
    from dataclasses import replace

    other = replace(bad, predictions=(Predictions(np.array([0]), np.array([0])),))
    found = compare(good, other, n_random=100)
    assert not found.tests
    assert "not about the same examples" in describe(found, "good", "other")
    assert "left no .pred file" in compare(good, replace(bad, predictions=()), n_random=100).not_paired
    one = replace(good, scores=good.scores[:1])
    assert "one repeat tells no interval" in describe(compare(one, bad, n_random=100), "one", "bad")


def test_a_table_of_nothing_is_told():
    with pytest.raises(UsageError, match="Expected groups to be one or more, found 'none'"):
        table([])


def test_runs_of_the_suite(tmp_path):
    for seed, accuracy in ((0, 0.8), (1, 0.9)):
        folder = tmp_path / f"seed-{seed}" / "03_finetune_with_trainer"
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps({"accuracy": accuracy, "macro_f1": 0.7, "seconds": 3}))
    (group,) = read_groups([tmp_path])
    assert (group.name, group.scores[:, 0].tolist()) == ("03_finetune_with_trainer", [0.8, 0.9])


@pytest.mark.parametrize(
    ("call", "code", "message"),
    [
        (["stats", "nowhere"], 2, "Expected DIR to be a folder"),
        (["stats", "{empty}"], 2, "a folder with .res files or finished runs"),
        (["stats", "{empty}", "--out", "x.txt"], 2, "Expected --out to be a .png"),
    ],
)
def test_wrong_calls(call, code, message, tmp_path, capsys):
    assert main([part.format(empty=tmp_path) for part in call]) == code
    assert message in capsys.readouterr().err


def test_write_refuses_nothing_and_unknown_averages(tmp_path):
    with pytest.raises(UsageError, match="one or more"):
        write_results(tmp_path, "x", [], NAMES)
    with pytest.raises(UsageError, match="Expected average"):
        write_results(tmp_path, "x", [Predictions(np.array([0]), np.array([0]))], NAMES, average="weighted")
