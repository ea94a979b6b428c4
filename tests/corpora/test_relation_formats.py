"""ChemProt's three forms, anonymised TSV and the DDI corpus' XML."""

import json
import warnings
import zipfile

import pytest

from bioutils.corpora.chemprot import read_original, read_sentences, unmarked
from bioutils.corpora.ddi import read_ddi
from bioutils.corpora.tabular import read_anonymised
from bioutils.errors import DataError

ABSTRACTS = "1\tZinc and PKC\tZinc blocks PKC.\n2\tOther\tNothing here.\n"
ENTITIES = "1\tT1\tCHEMICAL\t13\t17\tZinc\n1\tT2\tGENE-Y\t25\t28\tPKC\n"
RELATIONS = "1\tCPR:4\tY \tINHIBITOR\tArg1:T1\tArg2:T2\n"


@pytest.fixture
def original(tmp_path):
    def write(abstracts=ABSTRACTS, entities=ENTITIES, relations=RELATIONS):
        paths = []
        for name, content in (("abstracts", abstracts), ("entities", entities), ("relations", relations)):
            paths.append(tmp_path / f"{name}.tsv")
            paths[-1].write_text(content)
        return paths

    return write


def test_abstracts_entities_relations(original):
    first, second = read_original(*original())
    assert first.text == "Zinc and PKC Zinc blocks PKC."
    assert [span.text for span in first.spans] == ["Zinc", "PKC"]
    assert (first.relations[0].type, first.relations[0].first, first.remarks[0].value) == ("INHIBITOR", "T1", "CPR:4 Y")
    assert second.spans == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"abstracts": "1\tonly a title\n"}, r"abstracts.tsv:1: Expected the line to be 3 columns"),
        ({"entities": "9\tT1\tCHEMICAL\t0\t4\tZinc\n"}, r"entities.tsv:1: The abstract 9 is not in"),
        ({"entities": "1\tT1\tCHEMICAL\tx\t4\tZinc\n"}, r"entities.tsv:1: Expected offsets to be whole numbers"),
        ({"entities": "1\tT1\tCHEMICAL\t0\t3\tZinc\n", "relations": " "}, "relations.tsv:1: Expected the line"),
        (
            {"relations": RELATIONS + RELATIONS.replace("T2", "T8")},
            r"1 relations name entities(.|\n)*line 2: 1 has no T8",
        ),
    ],
)
def test_bad_original_files(change, message, original):
    with pytest.raises(DataError, match=message):
        read_original(*original(**change))


def test_relations_without_their_entities_are_counted(original):
    paths = original(relations=RELATIONS + RELATIONS.replace("T2", "T8"))
    with pytest.warns(UserWarning, match="1 relations left out"):
        assert len(read_original(*paths, missing="skip")[0].relations) == 1


@pytest.mark.parametrize(
    ("marked", "text", "first", "second"),
    [
        ("<< Zinc >> blocks ([[ PKC ]]).", "Zinc blocks (PKC).", "Zinc", "PKC"),
        ("[[ PKC ]] is blocked by << zinc >>.", "PKC is blocked by zinc.", "zinc", "PKC"),
        ("<< anti-[[ PKC ]] zinc >> works", "anti-PKC zinc works", "anti-PKC zinc", "PKC"),
        ("G >> A; << Zinc >> binds [[[ 3H]PKC ]] >> x", "G >> A; Zinc binds [3H]PKC >> x", "Zinc", "3H]PKC"),
    ],
)
def test_marks_come_out_of_the_text(marked, text, first, second):
    found, places = unmarked(marked)
    assert found == text
    assert [found[slice(*places[role])] for role in ("first", "second")] == [first, second]


def test_sentences(tmp_path):
    path = tmp_path / "train.txt"
    rows = [{"text": "<< Zinc >> blocks [[ PKC ]].", "label": "INHIBITOR", "metadata": []}] * 2
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second = read_sentences(path)
    assert first.group == second.group == "Zinc blocks PKC."
    assert first.id != second.id
    path.write_text(json.dumps(rows[0]) + "\n" + json.dumps({"text": "<< Zinc >> blocks.", "label": "x"}) + "\n")
    with pytest.raises(DataError, match=r"train.txt:2: Expected the sentence to be marked"):
        read_sentences(path)
    path.write_text("no json\n")
    with pytest.raises(DataError, match=r"train.txt:1: Expected a JSON object"):
        read_sentences(path)


def test_anonymised(tmp_path):
    path = tmp_path / "dev.tsv"
    path.write_text(
        'guid\tsentence1\tlabel\n1.T1.T2\t@GENE$ needs @CHEMICAL$.\tfalse\n1.T3.T4\t"The ""rare"" @CHEM-GENE$ dimer."\ttrue\n'
    )
    plain, double = read_anonymised(path, labels=("false", "true"), group=lambda guid: guid.split(".")[0])
    assert [(s.type, s.text) for s in plain.spans] == [("GENE", "@GENE$"), ("CHEMICAL", "@CHEMICAL$")]
    assert double.text == 'The "rare" @CHEM-GENE$ dimer.'
    assert double.spans[0].pieces == double.spans[1].pieces
    assert plain.group == double.group == "1"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tb\n", "Expected the first line to be column names"),
        ("sentence1\tlabel\n@GENE$ @DISEASE$\t2\n", r"dev.tsv:2: Expected label to be a known one, found '2'"),
        ("sentence1\tlabel\n@GENE$ @DISEASE$\n", r"dev.tsv:2: Expected the row to be 2 columns"),
        ("sentence1\tlabel\nno names\t1\n", r"dev.tsv:2: Expected the sentence to be with two placeholders"),
        ("", "The file is empty"),
    ],
)
def test_bad_tables(content, message, tmp_path):
    (tmp_path / "dev.tsv").write_text(content)
    with pytest.raises(DataError, match=message):
        read_anonymised(tmp_path / "dev.tsv", labels=("0", "1"))


XML = """<document id="D1"><sentence id="D1.s0" text="Zinc and iron block PKC.">
<entity id="D1.s0.e0" charOffset="0-3" type="drug" text="Zinc"/>
<entity id="D1.s0.e1" charOffset="9-12;20-22" type="drug" text="iron PKC"/>
<pair id="D1.s0.p0" e1="D1.s0.e0" e2="D1.s0.e1" ddi="true"{type}/></sentence></document>"""


@pytest.mark.parametrize(("kind", "label"), [(' type="effect"', "effect"), ("", "int")])
def test_xml_ends_are_inside_and_a_missing_type_is_int(kind, label, tmp_path):
    with zipfile.ZipFile(tmp_path / "ddi.zip", "w") as archive:
        archive.writestr("Train/x.xml", XML.format(type=kind))
    (found,) = read_ddi(tmp_path / "ddi.zip", under="Train/")
    assert [span.text for span in found.spans] == ["Zinc", "iron PKC"]
    assert (found.relations[0].type, found.group) == (label, "D1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (XML.format(type=' type="odd"'), "Expected type to be a known one, found 'odd'"),
        (XML.format(type="").replace('"0-3"', '"0-9"'), "is given as 'Zinc'"),
        (XML.format(type="").replace('e2="D1.s0.e1"', 'e2="D1.s0.e7"'), "names D1.s0.e7"),
        ("<document>", "Not XML"),
        (
            '<!DOCTYPE d [<!ENTITY a "b">]><document id="D"><sentence id="s" text="&a;"/></document>',
            "EntitiesForbidden",
        ),
    ],
)
def test_bad_xml(content, message, tmp_path):
    (tmp_path / "x.xml").write_text(content)
    with pytest.raises(DataError, match=message), warnings.catch_warnings():
        read_ddi(tmp_path)
