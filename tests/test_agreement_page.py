import json
import os
from pathlib import Path

import pytest

from bioutils.agreement_page import agreement, page, read_copies, write_agreement
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
    assert html.count('class="entry ') == len(sample.disagreements)


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


@pytest.mark.skipif("BIOUTILS_DATA" not in os.environ, reason="BIOUTILS_DATA is not set")
def test_the_real_annotators_and_the_published_score():
    folder = Path(os.environ["BIOUTILS_DATA"]) / "fgen/mae-xml.tar.gz/raw_data/HZ and CC files for IAA calculation"
    found = agreement(read_copies([str(folder / "CC2"), str(folder / "HZ")]))
    [earlier] = found.tables()["Earlier score"].itertuples(index=False, name=None)
    assert earlier[2:5] == ("562.0", 1236, "0.455")
    assert earlier[5] == "30879166 (0.781)"  # published: 78.12 %
    assert len(found.disagreements) == 426
    assert set(found.disagreements["kind"]) == {"alone", "borders", "label"}  # no place has two categories
