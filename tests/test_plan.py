"""A plan: which notebooks at which grid points, each with its parameters, and what they need from each other."""

import json
from pathlib import Path

import nbformat
import pytest
import yaml

from bioutils.errors import DataError, UsageError
from bioutils.plan import find_notebooks, make_plan

TABLE = "needs: {08_score: {03_train/model.bin: model}}\nlight: [01_look]"


@pytest.fixture
def notebooks(tmp_path, write_notebook) -> Path:
    folder = tmp_path / "notebooks"
    write_notebook(folder / "01_look.ipynb")
    training = 'seed = 0\nepochs = 3\nlearning_rate = 1e-4\nencoder = "minilm"\nrun_dir = ""'
    write_notebook(folder / "03_train.ipynb", parameters=training)
    write_notebook(folder / "08_score.ipynb", parameters='seed = 0\nmodel = ""\nrun_dir = ""')
    (folder / "profiles").mkdir()
    (folder / "profiles" / "quick.yaml").write_text("seed: 1\nepochs: 2\n")
    (folder / "suite.yaml").write_text(TABLE)
    return folder


def plan(notebooks: Path, *chosen: str, profile="quick", overrides=None, grid=None):
    out = notebooks.parent / "out"
    return make_plan(
        chosen, notebooks_dir=notebooks, out=out, profile=profile, overrides=overrides or {}, grid=grid or {}
    )


def test_profile_goes_to_each_notebook_that_has_the_parameter(notebooks):
    jobs = {job.folder: job for job in plan(notebooks)}
    assert list(jobs) == ["01_look", "03_train", "08_score"]
    assert jobs["01_look"].parameters == {"seed": 1}
    assert jobs["03_train"].parameters == {"seed": 1, "epochs": 2}
    assert [job.light for job in jobs.values()] == [True, False, False]


def test_a_grid_wins_over_an_override_over_the_profile(notebooks):
    jobs = plan(notebooks, "03", overrides={"learning_rate": "5e-5"}, grid={"seed": ["7", "8"], "epochs": ["1"]})
    assert [job.folder for job in jobs] == ["seed=7,epochs=1/03_train", "seed=8,epochs=1/03_train"]
    assert [job.parameters["seed"] for job in jobs] == [7, 8]
    assert jobs[0].parameters == {"seed": 7, "epochs": 1, "learning_rate": 0.00005}


def test_needed_files_follow_the_grid_point(notebooks):
    jobs = {job.folder: job for job in plan(notebooks, "08", grid={"seed": ["0", "1"]})}
    assert jobs["seed=1/08_score"].needs == ("seed=1/03_train/model.bin",)
    assert jobs["seed=1/03_train"].makes == ("seed=1/03_train/model.bin",)


def test_what_a_notebook_needs_is_run_too_until_it_is_there(notebooks):
    assert [job.folder for job in plan(notebooks, "8")] == ["03_train", "08_score"]
    model = notebooks.parent / "out" / "03_train" / "model.bin"
    model.parent.mkdir(parents=True)
    model.touch()
    assert [job.folder for job in plan(notebooks, "8")] == ["08_score"]
    (model.parent / "status.json").write_text(json.dumps({"state": "failed"}))
    assert [job.folder for job in plan(notebooks, "8")] == ["03_train", "08_score"]


def test_a_parameter_can_stand_for_the_needed_file(notebooks):
    (job,) = plan(notebooks, "08", overrides={"model": "elsewhere"})
    assert (job.folder, job.needs) == ("08_score", ())


def test_the_file_of_a_job_is_what_papermill_reads(notebooks):
    (job,) = plan(notebooks, "03")
    assert yaml.safe_load(job.text()) == {"seed": 1, "epochs": 2}


def test_the_file_changes_with_the_cells_but_not_with_their_output(notebooks):
    before = plan(notebooks, "01")[0].text()
    path = notebooks / "01_look.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].execution_count = 5
    nbformat.write(notebook, path)
    assert plan(notebooks, "01")[0].text() == before
    notebook.cells[1].source += "\nmore = 1"
    nbformat.write(notebook, path)
    assert plan(notebooks, "01")[0].text() != before


def test_values_that_are_no_file_names_make_different_folders(notebooks):
    jobs = plan(notebooks, "03", grid={"encoder": ["a/b", "a:b", "../x", "plain"]})
    points = [job.point for job in jobs]
    assert len(set(points)) == 4
    assert points[3] == "encoder=plain"
    assert all("/" not in point and ":" not in point for point in points)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"overrides": {"epoch": "1"}}, r"found 'epoch'.*\['epochs'\]"),
        ({"overrides": {"epochs": "many"}}, "-p epochs to be a whole number, found 'many'"),
        ({"overrides": {"epochs": "0"}}, "1 or more"),
        ({"overrides": {"run_dir": "x"}}, "Use --out"),
        ({"grid": {"sed": ["1"]}}, "--grid"),
        ({"grid": {"seed": ["1", "1"]}}, "found one twice"),
        ({"grid": {"seed": [""]}}, "a whole number"),
        ({"grid": {"seed": ["1"]}, "overrides": {"seed": "2"}}, "in -p and in --grid"),
        ({"profile": "quik"}, r"found 'quik'. Available: \['quick'\]"),
    ],
)
def test_a_wrong_call_is_told_before_anything_runs(notebooks, call, message):
    with pytest.raises(UsageError, match=message):
        plan(notebooks, **call)
    assert not (notebooks.parent / "out").exists()


def test_a_parameter_of_a_notebook_not_chosen_is_unknown(notebooks):
    with pytest.raises(UsageError, match="found 'epochs'"):
        plan(notebooks, "01", overrides={"epochs": "1"})


def test_a_profile_may_name_parameters_of_notebooks_not_chosen_but_no_others(notebooks):
    assert plan(notebooks, "01")[0].parameters == {"seed": 1}
    profile = notebooks / "profiles" / "quick.yaml"
    profile.write_text("sed: 1\n")
    with pytest.raises(UsageError, match=r"profile quick.*found 'sed'"):
        plan(notebooks, "01")
    profile.write_text("seed: one\n")
    with pytest.raises(UsageError, match="profile seed to be a whole number, found 'one'"):
        plan(notebooks, "01")


def test_a_profile_can_be_a_file(notebooks, tmp_path):
    (tmp_path / "mine.yaml").write_text("seed: 9")
    assert plan(notebooks, "01", profile=str(tmp_path / "mine.yaml"))[0].parameters == {"seed": 9}


def test_a_damaged_table_is_one_clear_error(notebooks):
    (notebooks / "suite.yaml").write_text("needs: {08_score: [a]}")
    with pytest.raises(DataError, match=r"suite\.yaml"):
        plan(notebooks)


@pytest.mark.parametrize("given", ["3", "03", "train", "03_train", "03_train.ipynb", "PATH"])
def test_a_notebook_is_found_by_number_name_or_path(notebooks, given):
    given = str(notebooks / "03_train.ipynb") if given == "PATH" else given
    assert find_notebooks([given, "03"], notebooks) == [notebooks / "03_train.ipynb"]


@pytest.mark.parametrize("given", ["2", "rain", "nothing.ipynb", ""])
def test_an_unknown_notebook_is_told_with_those_there_are(notebooks, given):
    with pytest.raises(UsageError, match="03_train"):
        find_notebooks([given], notebooks)


def test_two_notebooks_of_one_name_are_refused(notebooks, write_notebook):
    other = write_notebook(notebooks.parent / "03_train.ipynb")
    with pytest.raises(UsageError, match="different names"):
        find_notebooks(["03", str(other)], notebooks)


def test_a_folder_without_notebooks_is_told(tmp_path):
    with pytest.raises(UsageError, match="notebook folder"):
        find_notebooks([], tmp_path)
