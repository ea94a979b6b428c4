import re

import numpy as np
import pytest

from bioutils import attention_page as pages
from bioutils.attention import Attention
from bioutils.attention_page import attention_page
from bioutils.errors import BioutilsError, UsageError


def made(tokens, layers=2, heads=3, n_cut=0):
    rng = np.random.default_rng(0)
    weights = rng.random((layers, heads, len(tokens), len(tokens))).astype(np.float32)
    return Attention(list(tokens), weights / weights.sum(-1, keepdims=True), n_cut)


NASTY = ["[CLS]", "</script><img/src=x/onerror=alert(1)>", "<b>", '"quoted"', "[SEP]"]
PAIR = {"pre-trained": made(["[CLS]", "zinc", "finger", "[SEP]"]), "fine-tuned & more": made(NASTY)}


@pytest.mark.parametrize("kind", ["head", "model"])
def test_the_page_needs_no_network_and_tokens_cannot_break_out(kind):
    html = attention_page(PAIR, kind=kind)
    assert not re.search(r'(src|href)\s*=\s*["\']?(https?:)?//', html)
    assert "cdnjs" not in html
    assert "onerror=alert(1)>" in html  # as data
    assert "</script><img" not in html
    assert "fine-tuned &amp; more" in html
    assert "BSD-3-Clause" in html
    ids = re.findall(r'id="(bertviz-[0-9a-f]+)"', html)
    assert len(ids) == len(set(ids)) == 2  # views do not collide


@pytest.mark.parametrize(("kind", "lines"), [("head", 4 * 4 * 3 + 5 * 5 * 3), ("model", 2 * 3 * (4 * 4 + 5 * 5))])
def test_a_browser_without_network_draws_every_line(kind, lines, rendered, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(attention_page(PAIR, kind=kind), encoding="utf-8")
    dom, log = rendered(path)
    assert dom.count("<line") >= lines
    assert "Uncaught" not in log
    if kind == "head":
        assert re.search(r"<text[^>]*>\s*zinc\s*</text>", dom)
        assert "&lt;b&gt;" in dom
        assert "<img" not in dom.replace("\\u003cimg", "")


def test_without_its_scripts_the_test_above_would_fail(rendered, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "LIBRARIES", pages.LIBRARIES[2:])
    path = tmp_path / "page.html"
    path.write_text(attention_page(PAIR), encoding="utf-8")
    dom, log = rendered(path)
    assert dom.count("<line") == 0
    assert "Uncaught" in log


def test_long_inputs_are_limited_and_told():
    html = attention_page({"m": made(["x"] * 40, layers=9, n_cut=7)}, kind="model")
    assert "m: The text is longer: its last 7 tokens were left out." in html
    assert "m: 9 layers are many: the first 8 are drawn" in html
    assert "m: 40 tokens are many: the first 32 are drawn" in html
    assert "are many" not in attention_page({"m": made(["x"] * 40, layers=9)}, kind="head")
    few = attention_page({"m": made(["x"] * 4, layers=9)}, kind="model", layers=[0, 8])
    assert "are many" not in few


def test_what_cannot_be():
    with pytest.raises(UsageError, match="known view"):
        attention_page(PAIR, kind="neuron")
    with pytest.raises(UsageError, match="between 0 and 1"):
        attention_page(PAIR, layers=[2])
    with pytest.raises(UsageError, match="one or more"):
        attention_page({})
    with pytest.raises(BioutilsError, match="pip install no-such-package"):
        pages._library("no-such-package", "x.js")
    with pytest.raises(BioutilsError, match=r"carries no other\.js"):
        pages._library("XStatic-D3", "other.js")
