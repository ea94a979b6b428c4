import numpy as np
import pytest

from bioutils.training import judges


def test_mistakes_are_the_wrong_rows(tiny_dataset):
    data = tiny_dataset["validation"]
    labels = np.array(data["label"][:])
    logits = 9 * np.eye(3)[labels]
    logits[4] = [0, 0, 9]  # true: 1
    table = judges.mistakes_of(data, logits, ["p", "c", "f"], epoch=7)
    assert table[["epoch", "row", "true", "predicted"]].to_numpy().tolist() == [[7, 4, "c", "f"]]
    assert table["text"][0] == data[4]["text"]
    assert table["confidence"][0] == pytest.approx(1, abs=1e-3)
