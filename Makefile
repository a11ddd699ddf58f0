PYTHON ?= .venv/bin/python

.PHONY: install test lint docs lock notebooks train ci

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

lock:
	$(PYTHON) -m smd_cli lock $(filter-out %_stream.yaml,$(wildcard scenes/*.yaml)) -o scenes/smd.lock --device cpu --dtype float32

notebooks:
	$(PYTHON) docs/notebooks/execute.py

train:
	$(PYTHON) -m smd_cli.workshop.train --folder runs/flatland

ci:
	bash .ci/run
