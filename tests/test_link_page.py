import json
import re

from bioutils.corpora.records import Document, Link, Remark, Span
from bioutils.link_page import link_page

TEXT = "Loss of <p53> & more in HeLa."
DOCUMENT = Document(
    "d<1>", TEXT,
    (
        Span("P0", "ACTION", ((0, 13),), "Loss of <p53>"), Span("G0", "GENE", ((8, 13),), "<p53>"),
        Span("C0", "CONTEXT", ((24, 28),), "HeLa"),
    ), (),
    (Link("L0", "LINKING", (("context", "C0"), ("action", "P0"))),), (Remark("1", "kind", "P0", "a </script> b"),),
)  # fmt: skip


def test_tags_links_and_nothing_unescaped():
    page = link_page([DOCUMENT])
    body = re.sub(r"<[^>]+>", "", page[page.index('<p class="text">') : page.index("</p>")])
    assert body == "Loss of &lt;p53&gt; &amp; more in HeLa."
    assert "1 under others, not shown" in page  # the gene lies inside the action
    assert "d&lt;1&gt;" in page
    assert page.count("</script>") == 1
    links = json.loads(re.search(r"const links = (.*);", page)[1])
    assert links == [[["0/P0", "0/C0"]]]  # in the order of the text
    assert 'data-id="0/P0"' in page
    assert "<h1>Tags and links</h1>" in link_page([])
