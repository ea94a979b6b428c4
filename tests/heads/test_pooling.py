import pytest
import torch

from bioutils.errors import UsageError
from bioutils.heads.pooling import pool

VECTORS = torch.tensor([[[1.0, -1], [3, -5], [9, 9]], [[2.0, 4], [6, 0], [1, 2]]])
MASK = torch.tensor([[1, 1, 0], [1, 1, 1]])


@pytest.mark.parametrize(
    ("pooling", "wanted"),
    [
        ("cls", [[1, -1], [2, 4]]),
        ("mean", [[2, -3], [3, 2]]),
        ("max", [[3, -1], [6, 4]]),
        ("last_sep", [[3, -5], [1, 2]]),
    ],
)
def test_by_hand(pooling, wanted):
    assert pool(VECTORS, MASK, pooling).tolist() == wanted


def test_unknown():
    with pytest.raises(UsageError, match="last_sep"):
        pool(VECTORS, MASK, "median")
