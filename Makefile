# The two commands: `make lab` sets up, builds and opens the notebook; `make test` runs every
# check that gates a change. The rest: `make help`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
NPM := npm --prefix js --no-fund --no-audit --loglevel=error
BUNDLE := mistudio_widgets/static/widget.js
TOKENIZERS := tests/tokenizers/node_modules/.installed
SOURCES := $(shell find js/src js/*.mjs js/*.json js/*.ts -type f 2>/dev/null)
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
export PIP_ROOT_USER_ACTION := ignore

.PHONY: help lab test check voila bench soak clean

help:
	@echo "make lab      set up, build, open JupyterLab on notebooks/Quickstart.ipynb"
	@echo "make test     set up, then lint, types, Python, front-end and browser tests"
	@echo "make check    lint and types only"
	@echo "make voila    serve notebooks/Datasets.ipynb as a read-only dashboard"
	@echo "make bench    the benchmarks;  make soak  the long tests;  make clean"

lab: $(VENV)/.lab $(BUNDLE)
	$(BIN)/jupyter lab $(AS_ROOT) notebooks/Quickstart.ipynb

voila: $(VENV)/.lab $(BUNDLE)
	$(BIN)/voila notebooks/Datasets.ipynb

test: check $(VENV)/.chromium $(TOKENIZERS)
	$(NPM) test
	$(BIN)/python -m pytest -m "browser and not soak" --cov --cov-report= --cov-fail-under=0
	$(BIN)/python -m pytest -m "not browser and not soak" --cov --cov-append --cov-report=term \
	  --numprocesses=2 --dist=loadfile

check: $(VENV)/.dev $(BUNDLE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(NPM) run check

bench: $(VENV)/.dev
	@for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

soak: $(VENV)/.dev $(BUNDLE) $(VENV)/.chromium $(TOKENIZERS)
	$(BIN)/python -m pytest -m soak --timeout=3600

clean:
	rm -rf $(VENV) js/node_modules js/coverage mistudio_widgets/static dist build *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BUNDLE): js/node_modules/.installed $(SOURCES)
	$(NPM) run build

js/node_modules/.installed: js/package.json js/package-lock.json
	$(NPM) ci
	@touch $@

# real tokenizers; only their data files are read
$(TOKENIZERS): tests/tokenizers/package-lock.json
	npm --prefix tests/tokenizers ci --ignore-scripts --no-fund --no-audit --loglevel=error
	@touch $@

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# the front end first: the package's build would otherwise run npm a second time
$(VENV)/.lab: $(VENV)/bin/python pyproject.toml constraints.txt | $(BUNDLE)
	$(PIP) install --constraint constraints.txt --editable ".[lab]"
	@touch $@

$(VENV)/.dev: $(VENV)/.lab
	$(PIP) install --constraint constraints.txt --editable ".[dev]"
	@touch $@

$(VENV)/.chromium: $(VENV)/.dev
	@command -v chromium >/dev/null || { \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq \
	    --no-install-recommends chromium fonts-dejavu-core fonts-liberation; }
	@touch $@
