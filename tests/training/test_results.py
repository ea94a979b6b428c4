import numpy as np
import pytest

from bioutils.errors import BioutilsError
from bioutils.training.results import epoch_scores, save_whole


def test_epoch_scores_by_hand():
    scores = epoch_scores(np.array([[2.0, 1], [0, 1], [3, 1], [0, 1]]), np.array([0, 1, 1, 1]))
    assert scores["accuracy"] == 0.75
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2)


def test_a_model_that_cannot_be_saved_leaves_the_old_one(tmp_path):
    class Full:
        def save_pretrained(self, folder):
            (folder / "half").write_text("x")
            raise OSError(28, "No space left on device")

    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").write_text("old")
    with pytest.raises(BioutilsError, match="could not be written"):
        save_whole(tmp_path / "model", {}, Full().save_pretrained)
    assert [p.name for p in tmp_path.rglob("*")] == ["model", "old"]
