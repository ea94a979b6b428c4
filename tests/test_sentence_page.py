import numpy as np
import pandas as pd

from bioutils.sentence_page import sentence_page

NAMES = ["biological_process", "cellular_component", "molecular_function"]


def test_sentences_take_colours_silence_and_no_markup_gets_through():
    abstracts = pd.DataFrame({"id": ["1", "2"], "title": ["<b>T</b>", "empty"]})
    abstracts[NAMES] = [[0.6, 0.3, 0.1], [np.nan] * 3]
    sentences = pd.DataFrame({"id": ["1", "1"], "sentence": ["Cells <script>alert(1)</script> grow.", "Who knows?"]})
    sentences[NAMES] = [[0.9, 0.05, 0.05], [0.4, 0.35, 0.25]]
    html = sentence_page(abstracts, sentences, NAMES, threshold=0.5, title="A & B")
    assert "<script" not in html
    assert "&lt;b&gt;T&lt;/b&gt;" in html
    assert "A &amp; B" in html
    assert html.count('class="s"') == 1
    assert html.count('class="s silent"') == 1
    assert "biological process 90.0%, cellular component 5.0%, molecular function 5.0%" in html
    assert "width: 60.0%" in html
    assert "empty" not in html  # nothing to show of it
    assert "http" not in html.replace("http-equiv", "")
