# Each target does its own set-up: all it needs is Python 3.11 or newer and make. A second call starts at once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES ?= $(shell $(PYTHON) -c "import os; print(len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count())")
# Nothing is asked of a model hub: the encoder comes with a package. Take this away to use hub encoders.
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false
# Threads that wait must not spin: two processes on shared cores would be several times slower.
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help run test lab bench clean

help:  ## this list
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST)

run: $(VENV)/run.stamp  ## execute the whole suite, quick profile, and print the path of its report
	$(BIN)/bioutils run --profile quick --out outputs/quick --cores $(CORES)

test: $(VENV)/test.stamp  ## lint, check the notebooks, run the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/nbstripout --verify --keep-id notebooks/*.ipynb
	$(BIN)/pytest -n $(CORES) --dist worksteal

lab: $(VENV)/lab.stamp  ## JupyterLab on the notebooks
	$(BIN)/jupyter lab notebooks

bench: $(VENV)/test.stamp  ## the benchmarks, as ratios (about 20 minutes on 2 cores)
	$(BIN)/python benchmarks/obo_table.py
	$(BIN)/python benchmarks/scoring.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/frozen.py
	$(BIN)/python benchmarks/embeddings.py

clean:  ## remove the environment; outputs/ and data/ stay
	rm -rf $(VENV) build *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed, found ' + sys.version.split()[0])"
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

$(VENV)/lab.stamp: $(VENV)/run.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lab]'
	@touch $@
