# Every target sets up .venv from requirements.lock first; it is quick when nothing changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup review test test-slow lab dashboards notebooks lint readme

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## the environment in .venv, hash-checked

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	  { echo "LTV-Lab needs Python 3.11 to 3.13: set PYTHON, for example make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

review: $(STAMP) ## the monthly review of the sample company, 2025-05 and 2025-06
	@$(BIN)/ltvlab run sample 2025-05..2025-06

test: review ## every test that needs nothing more (at most 10 minutes)
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "not slow" tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --nbval-lax --nbval-sanitize-with tests/nbval-sanitize.cfg notebooks/0*.ipynb

test-slow: review ## the slow tier (at most 40 minutes)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow tests

lab: $(STAMP) ## JupyterLab on the notebooks
	$(BIN)/jupyter lab --notebook-dir .

dashboards: $(STAMP) ## the live dashboards under Voila, on this machine only
	cd notebooks/dashboards && JUPYTER_PATH=share ../../$(BIN)/voila --no-browser --Voila.ip=127.0.0.1

notebooks: review ## refresh the results that stay in the notebooks, strip the rest
	$(BIN)/python -m tests.refresh_notebooks

lint: $(STAMP) ## ruff on code and notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

readme: review ## pictures and measured figures of the READMEs
	$(BIN)/python -m benchmarks.readme
