"""The command line: exit codes, messages without tracebacks, help at once."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import bioutils
from bioutils import cli
from bioutils.corpora import project_data
from bioutils.errors import BioutilsError, DataError, UsageError
from bioutils.suite import Row, SuiteResult

HEAVY = ("torch", "transformers", "pandas", "numpy", "papermill", "yaml", "jinja2")


def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    package = str(Path(bioutils.__file__).parent.parent)
    return subprocess.run(
        [sys.executable, "-m", "bioutils", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": package} | environment,
        check=False,
    )


@pytest.mark.parametrize("command", ["run", "score", "report", "data", "doctor"])
def test_each_command_has_help_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main([command, "--help"])
    assert left.value.code == 0
    assert f"  bioutils {command}" in capsys.readouterr().out


def test_help_and_version_import_nothing_heavy():
    result = call("--help", PYTHONPROFILEIMPORTTIME="1")
    imported = {line.rsplit("|", 1)[-1].strip() for line in result.stderr.splitlines()}
    assert result.returncode == 0
    assert "bioutils.cli" in imported, "the list of imports is there"
    assert not imported & set(HEAVY)
    assert call("--version").stdout == f"bioutils {bioutils.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["run", "--cores", "0"],
        ["run", "--timeout", "-1"],
        ["score", "a.xml"],
        ["score", "a.xml", "--out", "b.csv", "--resume", "--overwrite"],
        ["data"],
        ["report"],
    ],
)
def test_a_wrong_call_exits_2(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2
    assert "usage: bioutils" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "-p", "seed"], "Expected -p to be KEY=VALUE, found 'seed'."),
        (["run", "-p", "=1"], "KEY=VALUE"),
        (["run", "-p", "seed=1", "-p", "seed=2"], "Expected -p seed to be given once"),
        (["run", "--grid", "seed"], "KEY=V1,V2"),
        (["run", "--profile", "nowhere.yaml"], "Expected --profile to be a name or a YAML file, found 'nowhere.yaml'."),
        (["report", "nowhere"], "Expected RUN to be"),
        (["data", "fetch", "a", "b", "--url", "x"], "one NAME"),
    ],
)
def test_a_user_s_mistake_is_one_message_and_exits_2(arguments, message, capsys):
    assert cli.main(arguments) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
    assert err.startswith(f"bioutils {arguments[0]}: ")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("u"), 2),
        (BioutilsError("b"), 1),
        (DataError("d", path="f", line=3), 1),
        (PermissionError(13, "Permission denied", "f"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_what_a_command_raises_decides_the_exit_code(monkeypatch, capsys, error, code):
    def fail(_):
        raise error

    monkeypatch.setattr("bioutils.report.make_report", fail)
    assert cli.main(["report", "x"]) == code
    assert "Traceback" not in capsys.readouterr().err


def test_debug_shows_the_traceback():
    assert "Traceback" not in call("report", "nowhere").stderr
    assert "Traceback" in call("report", "nowhere", BIOUTILS_DEBUG="1").stderr


def test_a_closed_pipe_is_no_error(monkeypatch, tmp_path):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        monkeypatch.setattr("sys.stdout", closed)
        monkeypatch.setattr("bioutils.report.make_report", lambda _: "a line")
        assert cli.main(["report", "x"]) == 141


def test_run_hands_everything_on_and_prints_the_table(monkeypatch, capsys):
    seen = {}

    def run_suite(notebooks, **options):
        seen.update(options, notebooks=notebooks)
        rows = [Row("03_train", "ok", 61.4, ""), Row("08_score", "failed", 2.0, "KeyError: 'x' (In [3] d['x'])")]
        return SuiteResult(rows, Path("out/index.html"))

    monkeypatch.setattr("bioutils.suite.run_suite", run_suite)
    arguments = [
        "run",
        "03",
        "8",
        "-p",
        "encoder=a=b",
        "--grid",
        "seed=0,1",
        "--cores",
        "3",
        "--out",
        "out",
        "--timeout",
        "0",
    ]
    assert cli.main([*arguments, "--force"]) == 1
    assert seen == {
        "notebooks": ["03", "8"],
        "profile": "quick",
        "overrides": {"encoder": "a=b"},
        "grid": {"seed": ["0", "1"]},
        "cores": 3,
        "executor": None,
        "out": Path("out"),
        "timeout": 0,
        "dry_run": False,
        "force": True,
    }
    assert capsys.readouterr().out.splitlines() == [
        "",
        "notebook  state   seconds",
        "03_train  ok      61",
        "08_score  failed  2        KeyError: 'x' (In [3] d['x'])",
        "",
        "Report: out/index.html",
    ]


def test_data_list_says_where_each_corpus_is(tmp_path, capsys):
    (tmp_path / "go").mkdir()
    assert cli.main(["data", "list", "--data-root", str(tmp_path)]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "CC BY 4.0" in lines["go"]
    assert lines["go"].endswith(str(tmp_path / "go"))
    assert "only the sample" in lines["abstracts"]


def test_data_fetch_and_check_hand_everything_on(monkeypatch, tmp_path, capsys):
    fetched = []
    module = SimpleNamespace(fetch=lambda name, **options: fetched.append((name, options)) or tmp_path / name)
    monkeypatch.setitem(sys.modules, "bioutils.corpora.download", module)
    assert cli.main(["data", "fetch", "go", "--url", "u", "--overwrite", "--data-root", "d"]) == 0
    assert fetched == [("go", {"data_root": Path("d"), "url": "u", "overwrite": True})]
    monkeypatch.setattr("bioutils.corpora.check", lambda name, **options: {"terms": 5} | options)
    assert cli.main(["data", "check", "go", "--sample"]) == 0
    assert "  terms      5" in capsys.readouterr().out.splitlines()


def test_score_hands_everything_on_and_says_what_it_wrote(monkeypatch, capsys):
    seen = {}

    def score_files(inputs, out, **options):
        seen.update(options, inputs=inputs, out=out)
        beside = SimpleNamespace(
            n_abstracts=1200, n_sentences=9000, n_without_text=2, model="models/m", n_repeated_ids=1
        )
        return SimpleNamespace(**vars(beside), abstracts=out, sentences=Path("s.sentences.csv"))

    monkeypatch.setattr("bioutils.scoring.score_files", score_files)
    arguments = ["score", "a.xml", "b.csv", "--out", "s.csv", "--column", "id=PMID", "--batch-tokens", "64", "--resume"]
    assert cli.main(arguments) == 0
    assert seen == {
        "inputs": [Path("a.xml"), Path("b.csv")],
        "out": Path("s.csv"),
        "model": None,
        "columns": {"id": "PMID"},
        "overwrite": False,
        "resume": True,
        "batch_tokens": 64,
    }
    assert capsys.readouterr().out.splitlines() == [
        "model: models/m",
        "1,200 abstracts → s.csv",
        "9,000 sentences → s.sentences.csv",
        "2 abstracts have no text, and so no probabilities",
        "1 rows repeat an id that came before",
    ]


def test_a_run_in_which_all_ended_well_exits_0(monkeypatch):
    result = SuiteResult([Row("03_train", "up to date", 1.0, "")], Path("index.html"))
    monkeypatch.setattr("bioutils.suite.run_suite", lambda *_, **__: result)
    assert cli.main(["run"]) == 0


def test_annotations_are_converted_and_what_was_lost_is_said(tmp_path, capsys):
    source, brat, words = project_data() / "sample" / "mae" / "bo", tmp_path / "brat", tmp_path / "words.json"
    assert cli.main(["convert", str(source), str(brat), "--to", "brat"]) == 0
    said = "    20 names of the task: left out, no place in brat"
    assert capsys.readouterr().out == f"20 documents, 245 spans, 22 links → {brat}\n{said}\n"
    assert cli.main(["convert", str(brat), str(words), "--to", "words"]) == 0
    assert "spans widened to whole words: no place in words" in capsys.readouterr().out
    assert cli.main(["convert", str(brat), str(tmp_path / "mae")]) == 2
    assert "--to mae or --to brat" in capsys.readouterr().err
    assert cli.main(["convert", str(brat), str(brat), "--to", "mae", "--overwrite"]) == 2
    assert "is an input" in capsys.readouterr().err
    assert cli.main(["convert", str(brat), str(tmp_path / "mae"), "--to", "mae", "--task", "Foo_Bar!"]) == 2
    assert "Expected task to be a name in XML, found 'Foo_Bar!'" in capsys.readouterr().err
    assert cli.main(["convert", str(brat), str(tmp_path / "a.jsonl")]) == 0
    assert cli.main(["convert", str(brat), str(tmp_path / "a.jsonl")]) == 2


def test_a_corpus_is_reported_merged_and_split(tmp_path, capsys):
    anna, bo = (str(project_data() / "sample" / "mae" / name) for name in ("anna", "bo"))
    assert cli.main(["corpus", "report", anna, "--out", str(tmp_path / "r.md"), "--each"]) == 0
    text = (tmp_path / "r.md").read_text()
    assert "60 of 60 documents have a tag" in text
    assert (
        "\n| a document | in all | least | mean | most |\n|---|---|---|---|---|\n| words |" in text
    )  # a table has no gap
    row = {line.split(" | ")[0]: line.split(" | ") for line in text.splitlines() if line.count("|") == 6}
    assert row["| most links of one word"][1] == row["| most tags on one word"][1] == "" != row["| words in a link"][1]
    assert cli.main(["corpus", "report", anna, "--out", str(tmp_path / "r.html")]) == 0
    assert (tmp_path / "r.html").read_text().count("data:image/png") == 3
    assert cli.main(["corpus", "merge", anna, bo, "--out", str(tmp_path / "all.jsonl")]) == 0
    assert "80 documents" in capsys.readouterr().out
    call = ["corpus", "split", str(tmp_path / "all.jsonl"), "--out", str(tmp_path / "parts")]
    assert cli.main([*call, "--part", "train=0.9", "--part", "test=0.1"]) == 0
    lines = {path.stem: path.read_text().count("\n") for path in (tmp_path / "parts").iterdir()}
    assert sum(lines.values()) == 80
    assert lines["test"] < lines["train"]
    for share in ("most", "inf", "nan"):
        assert cli.main([*call, "--part", f"train={share}", "--part", "test=0.1", "--overwrite"]) == 2
    assert cli.main([*call, "--part", "train=0.9", "--part", "test=0.1"]) == 2  # they are there
    assert cli.main(["corpus", "merge", anna, anna, "--out", str(tmp_path / "twice.jsonl")]) == 2
    assert "more than one part" in capsys.readouterr().err
