# Two commands for a fresh machine: make demo, make test. Everything lives in .venv beside this file.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SHARED_DATA := $(wildcard ../shared/data)
export LANDSIFT_DATA ?= $(if $(SHARED_DATA),$(abspath $(SHARED_DATA)),)

.PHONY: demo test lint bench bench-scale bench-hashing page clean
.DEFAULT_GOAL := demo

demo: $(VENV)/core.stamp
	$(BIN)/landsift demo demo

# One process a core and one thread each: tests are many and small.
test: $(VENV)/test.stamp lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/bench.stamp
	$(BIN)/python -m benchmarks

# A million tiles and more, against peers; the hashing methods on the split of their papers.
bench-scale: $(VENV)/bench.stamp
	$(BIN)/python -m benchmarks.scale

bench-hashing: $(VENV)/bench.stamp
	$(BIN)/python -m benchmarks.hashing

# The page in the browser; its built files are kept in the package, so only changing it needs Node.
page:
	cd web && npm ci --no-audit --no-fund && npm test && npm run check-built

clean:
	rm -rf $(VENV) demo

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The core and the map: index and search with the built-in encoder. No torch.
$(VENV)/core.stamp: $(BIN)/python pyproject.toml
	$(PIP) install -q -e ".[serve]"
	touch $@

# What the tests need; the constraint keeps torch to its CPU build.
$(VENV)/test.stamp: $(BIN)/python pyproject.toml constraints-cpu.txt
	$(PIP) install -q -c constraints-cpu.txt -e ".[test]"
	$(PIP) install -q --no-deps geoclip   # its weights alone are read; what it depends on is not needed
	touch $@ $(VENV)/core.stamp

$(VENV)/bench.stamp: $(VENV)/test.stamp
	$(PIP) install -q -c constraints-cpu.txt -e ".[test,bench]"
	touch $@
