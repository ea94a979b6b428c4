import re

import numpy as np
import pytest

from bioutils.epochs_page import epochs_page
from bioutils.errors import UsageError

NAMES = ["biological_process", "cellular_component", "molecular_function"]
EVIL = "</script><img src=x onerror=document.title='broken'>"


def page(**changes):
    rng = np.random.default_rng(0)
    call = {
        "maps": {"PCA": rng.normal(size=(3, 4, 2)), "UMAP & co": rng.normal(size=(3, 4, 2))},
        "labels": [0, 1, 2, 0],
        "predictions": np.array([[0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 2, 1]]),
        "names": NAMES,
        "titles": ["a", "b", EVIL, "d"],
        "texts": ["first", "second", EVIL, 'quo"te'],
        "title": "A & B",
    }
    return epochs_page(**call | changes)


def test_nothing_breaks_out_and_nothing_is_fetched():
    html = page()
    assert "<img" not in html
    assert html.count("</script>") == 2
    assert "A &amp; B" in html
    assert "UMAP &amp; co" in html
    assert not re.search(r'(src|href)\s*=\s*["\']?\w', html.replace("src=x", ""))


@pytest.mark.parametrize(
    ("epoch", "ringed", "name"), [(0, 0, "before training"), (1, 1, "after epoch 1"), (2, 1, "after epoch 2")]
)
def test_a_browser_draws_every_point_at_the_asked_epoch(epoch, ringed, name, rendered, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(page(), encoding="utf-8")

    class At:
        def as_uri(self):
            return path.as_uri() + f"#{epoch}"

    dom, log = rendered(At())
    circles = re.findall(r"<circle[^>]*>", dom)
    assert len(circles) == 4
    assert all(re.search(r'cx="[\d.]+" cy="[\d.]+"', circle) for circle in circles)
    assert sum("wrong" in circle for circle in circles) == ringed
    assert name in dom
    assert "Uncaught" not in log
    assert "broken" not in re.search(r"<title>(.*?)</title>", dom)[1]


def test_frames_share_one_scale():
    points = np.array([[[0.0, 0]] * 2, [[10.0, 5]] * 2])
    html = page(maps={"m": points}, labels=[0, 1], predictions=np.zeros((2, 2)), titles=["a", "b"], texts=["x", "y"])
    assert '"maps":{"m":[[[0.0,0.25],[0.0,0.25]],[[1.0,0.75],[1.0,0.75]]]}' in html


def test_shapes_that_do_not_fit():
    with pytest.raises(UsageError, match=r"PCA to be of shape \(3, 4, 2\)"):
        page(maps={"PCA": np.zeros((2, 4, 2))})
    with pytest.raises(UsageError, match="texts to be 4"):
        page(texts=["x"])
    with pytest.raises(UsageError, match="one or more"):
        page(maps={})
