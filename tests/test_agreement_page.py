import json
import os
import re
from pathlib import Path

import pytest

from bioutils.agreement_page import _parts, agreement, page, read_copies, write_agreement
from bioutils.cli import main
from bioutils.corpora import project_data
from bioutils.errors import UsageError

SAMPLE = project_data() / "sample" / "mae"
TEXT = "<Task><TEXT>Loss &amp; gain of p53</TEXT><TAGS>{}</TAGS></Task>"


@pytest.fixture(scope="module")
def sample():
    return agreement(read_copies([str(SAMPLE / "anna"), str(SAMPLE / "bo")]))


def test_the_sample(sample):
    assert sample.annotators == ("anna", "bo")
    assert sample.n_texts == 20
    assert sample.aside == "40 of anna that not all have"
    tables = sample.tables()
    assert list(tables["anna and bo"]["category"])[-1] == "all"
    assert len(sample.disagreements) > 0
    html = page(sample)
    assert html.count('class="entry ') == len(sample.disagreements) + len(sample.link_disagreements)
    labels = sample.disagreements[sample.disagreements["kind"] == "label"]
    assert html.count("<br>bo: ") == len(labels) > 0


def test_names_are_given_or_seen(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.xml").write_text(TEXT.format('<GENE id="G0" spans="15~18" text="p53" />'))
    with pytest.raises(UsageError, match="called 'a'"):
        read_copies([str(tmp_path / "a"), str(tmp_path / "a")])
    with pytest.raises(UsageError, match="two or more"):
        read_copies([str(tmp_path / "a")])
    found = agreement(read_copies([f"first={tmp_path / 'a'}", str(tmp_path / "b")]))
    assert found.annotators == ("first", "b")
    assert found.disagreements.empty
    assert found.tables()["first and b"]["exact F1"].tolist() == ["1.000 (1.000 to 1.000)"] * 2
    assert "–" in found.tables()["Links"]["F1"].tolist()


def test_a_page_escapes_what_it_shows_and_json_holds_all(tmp_path):
    for name, start in (("a", 0), ("b", 15)):
        (tmp_path / name).mkdir()
        words = {0: "Loss &amp; gain", 15: "p53"}[start]
        end = {0: 11, 15: 18}[start]
        tag = f'<GENE id="G0" spans="{start}~{end}" text="{words}" kind="&lt;b&gt;" />'
        (tmp_path / name / "1.xml").write_text(TEXT.format(tag))
    out = tmp_path / "page.html"
    assert main(["agree", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(out)]) == 0
    html = out.read_text()
    assert "Loss &amp; gain" in html
    assert "kind &lt;b&gt;" in html
    assert "<b>" not in html
    assert main(["agree", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(out)]) == 2
    found = agreement(read_copies([str(tmp_path / "a"), str(tmp_path / "b")]))
    raw = json.loads(write_agreement(found, tmp_path / "a.json").read_text())
    assert [x["kind"] for x in raw["disagreements"]] == ["alone", "alone"]
    assert raw["pairs"][-1]["exact_f1"] == 0
    assert raw["links"][0]["f1"] is None


TWO = (
    '<GENE id="G0" spans="0~4" text="Loss" kind="a" /><GENE id="G1" spans="15~18" text="p53" kind="x" />'
    '<LINK id="L0" oneID="G0" oneText="Loss" twoID="G1" twoText="p53" />'
)


@pytest.fixture
def folders(tmp_path):
    """Two annotators: b has no link, another label, a category of its own; one text that neither tagged."""
    other = TWO[: TWO.index("<LINK")].replace('kind="x"', 'kind="y"') + '<OWN id="O0" spans="7~11" text="gain" />'
    for name, tags in (("a", TWO), ("b", other)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.xml").write_text(TEXT.format(tags))
        (tmp_path / name / "2.xml").write_text(TEXT.format(""))
    return [str(tmp_path / "a"), str(tmp_path / "b")]


NOTES = [
    "2 texts that all have.",
    "In 1 of them nothing is tagged: 2.",
    "Not all annotators use these, so that scores on them against the others are 0: OWN (only b).",
]


def test_both_labels_links_and_notes_are_shown(folders, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert main(["agree", *folders, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    html = out.read_text()
    assert all(note in said and note in html for note in NOTES)
    assert "2 disagreements on tags, 1 on links" in said
    assert "kind x<br>b: kind y<" in html
    assert "one: Loss; two: p53" in html
    # the link's text, from its first to its last member
    assert re.search(r'class="entry link".*>Loss</mark> &amp; gain of <mark[^>]*>p53</mark>…</q>', html)
    raw = json.loads(write_agreement(agreement(read_copies(folders)), tmp_path / "a.json").read_text())
    assert [(x["annotator"], x["link"]) for x in raw["link_disagreements"]] == [("a", "L0")]
    assert (raw["untagged"], raw["not_used_by_all"]) == (["2"], {"OWN": ["b"]})


def test_a_report_in_markdown(folders, tmp_path):
    out = tmp_path / "report.md"
    assert main(["agree", *folders, "--out", str(out)]) == 0
    text = out.read_text()
    assert text.startswith("# Agreement of a and b\n\n" + "\n".join(NOTES) + "\n")
    assert all(f"- {folder}\n" in text for folder in folders)
    assert "- *earlier score*: matching values" in text
    # Loss: a/a; p53: x/y; gain: a tag without a value is none to this score
    assert "| a | b | 1.0 | 2 | 0.500 | 1 (0.500) | 1 (0.500) |\n" in text
    rows = "| 1 | a | b | 1.0 | 2 | 0.500 |\n| 2 | a | b | 0.0 | 0 | – |\n"
    assert text.endswith(
        f"## Texts\n\n| text_id | first | second | score | words | share |\n|---|---|---|---|---|---|\n{rows}"
    )
    assert main(["agree", *folders, "--out", str(tmp_path / "report.txt")]) == 2


def test_what_lies_far_from_a_links_members_is_left_out():
    text = "x" * 100 + "AB" + "y" * 200 + "CD"
    assert _parts(text, [(302, 304, "red"), (100, 102, "blue"), (101, 102, "red")]) == [
        ("x" * 60, ""), ("AB", "blue"), ("y" * 60 + " … ", ""), ("y" * 60, ""), ("CD", "red"),
    ]  # fmt: skip


def test_tasks_and_second_copies_are_refused(folders, tmp_path, capsys):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "1.xml").write_text(TEXT.format("").replace("Task", "OtherTask"))
    assert main(["agree", folders[0], str(tmp_path / "c")]) == 2
    assert "Expected documents of one task, found Task (a), OtherTask (c)." in capsys.readouterr().err
    for name in ("1_PMID7", "2_PMID7"):
        (tmp_path / "b" / f"{name}.xml").write_text(TEXT.format(""))
    assert main(["agree", *folders]) == 1
    assert "Expected b to have one copy of the text 7, found 1_PMID7 and 2_PMID7." in capsys.readouterr().err


@pytest.mark.skipif("BIOUTILS_DATA" not in os.environ, reason="BIOUTILS_DATA is not set")
def test_the_real_annotators_and_the_published_score():
    folder = Path(os.environ["BIOUTILS_DATA"]) / "fgen/mae-xml.tar.gz/raw_data/HZ and CC files for IAA calculation"
    found = agreement(read_copies([str(folder / "CC2"), str(folder / "HZ")]))
    [earlier] = found.tables()["Earlier score"].itertuples(index=False, name=None)
    assert earlier[2:5] == ("562.0", 1236, "0.455")
    assert earlier[5] == "30879166 (0.781)"  # published: 78.12 %
    assert len(found.untagged) == 3
    assert len(found.link_disagreements) == 12 + 7 - 2 * 5  # links with agreed ends, less the five that both have
    assert len(found.disagreements) == 426
    assert set(found.disagreements["kind"]) == {"alone", "borders", "label"}  # no place has two categories
