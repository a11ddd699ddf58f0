PYTHON ?= .venv/bin/python

.PHONY: install test lint docs notebooks train ci

install:
	python3 -m venv .venv
	$(PYTHON) -m pip install -c constraints.txt -e '.[dev]'

test:
	$(PYTHON) -m pytest

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports

docs:
	$(PYTHON) docs/generate.py

notebooks:
	$(PYTHON) docs/notebooks/execute.py

train:
	$(PYTHON) -m smd_cli.workshop.train --folder runs/flatland

ci:
	bash .ci/run
