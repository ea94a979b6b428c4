"""The project holds together: layers, versions, commands, notebooks."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


def requirements():
    extras = [line for group in PROJECT["optional-dependencies"].values() for line in group]
    return {r.name.lower(): r for r in map(Requirement, PROJECT["dependencies"] + extras)}


def test_modules_import_only_from_their_left():
    call = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_constraints_fit_every_range():
    pins = dict(
        line.lower().split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line and line[0] != "#"
    )
    for name, requirement in requirements().items():
        assert name in pins, f"{name} has no pin in constraints.txt"
        assert requirement.specifier.contains(pins[name]), f"{requirement} does not allow the pin {pins[name]}"


def test_conda_names_the_same_versions():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    known = requirements()
    for line in [d for d in environment["dependencies"] if isinstance(d, str) and d != "pip"]:
        found = Requirement(line)
        if found.name == "python":
            assert found.specifier.contains("3.11")
            assert PROJECT["requires-python"] in line.replace("python", "")
        else:
            assert found.specifier == known[found.name].specifier, found.name
    assert any("pip" in d for d in environment["dependencies"] if isinstance(d, dict))


def test_every_range_has_its_reason():
    for line in (ROOT / "pyproject.toml").read_text().splitlines():
        if re.match(r'    "[a-z0-9-]+[=<>]', line):
            assert "  # " in line, line


def test_readme_commands_exist():
    readme, makefile = ((ROOT / name).read_text() for name in ("README.md", "Makefile"))
    targets = set(re.findall(r"make (run|test|lab|bench|[a-z]+)\b +#|`make ([a-z]+)`", readme))
    for target in {name for pair in targets for name in pair if name}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_no_machine_paths_in_the_project():
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    pattern = re.compile(r"(?<![\w.])/(?:work|farm|home/\w+|root|tmp/\w+)/")
    for name in files:
        path = ROOT / name
        if (
            path.suffix in (".py", ".md", ".yaml", ".yml", ".toml", ".ipynb", ".txt", "")
            and path.is_file()
            and path != Path(__file__)
        ):
            assert not pattern.search(path.read_text(encoding="utf-8", errors="replace")), name


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_keep_the_house_form(path):
    notebook = nbformat.read(path, as_version=4)
    code = [c for c in notebook.cells if c.cell_type == "code"]
    prose = [c for c in notebook.cells if c.cell_type == "markdown"]
    assert notebook.cells[0].source.startswith(f"# {path.stem[:2]}. ")
    assert "\n> " in notebook.cells[0].source
    assert 15 <= len(code) <= 30
    assert len(prose) >= len(code)
    assert sorted(len(c.source.splitlines()) for c in code)[len(code) // 2] <= 6
    assert not any(re.search(r"^\s*def ", c.source, re.MULTILINE) for c in code)
    tagged = [c for c in code if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    names = re.findall(r"^(\w+) = ", tagged[0].source, re.MULTILINE)
    assert {"profile", "data_root", "sample", "encoder", "seed", "run_dir"} <= set(names)
    for line in tagged[0].source.splitlines():  # papermill reads these lines by a regular expression
        assert re.fullmatch(r"\w+ = [^#=|]+  # [^#=|]+", line), line
    endings = ["## Check yourself", "## Exercises", "## Results written", "## Where next"]
    found = [c.source.splitlines()[0] for c in prose]
    assert [h for h in found if h in endings] == endings
    assert any("<details>" in c.source for c in prose)


def test_the_index_says_what_the_notebooks_say():
    index = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    for path in NOTEBOOKS:
        title, _, subtitle = nbformat.read(path, as_version=4).cells[0].source.splitlines()[:3]
        assert f"| {path.stem[:2]} | [{title[6:]}]({path.name}) | {subtitle[2:]} |" in index
