from bioutils.entity_page import entity_page


def test_texts_are_escaped_and_whole():
    entities = [{"start": 4, "end": 7, "type": "cell_line", "score": 0.5}, {"start": 0, "end": 3, "type": "DNA"}]
    page = entity_page([("1<", "a<b c&d e", entities)], ["DNA", "cell_line"], title="T")
    assert "1&lt; · 2 entities" in page
    assert 'title="cell line, 50.0%">c&amp;d</mark> e' in page
    assert 'title="DNA">a&lt;b</mark> ' in page


def test_a_type_can_be_hidden(rendered, tmp_path):
    page = entity_page([("1", "IL-2", [{"start": 0, "end": 4, "type": "protein", "score": 1.0}])], ["protein"])
    path = tmp_path / "page.html"
    path.write_text(page.replace(" checked>", ">").replace(
        "</body>",
        "<script>document.title = getComputedStyle(document.querySelector('mark')).borderBottomStyle;</script></body>",
    ))  # fmt: skip
    dom, _ = rendered(path)
    assert "<title>none</title>" in dom
