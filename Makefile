# Everything happens in .venv; the first target that runs makes it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := $(shell grep '^torch==' constraints.txt)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test test-slow test-slow-again lint docs clean

# The main job on simulated data: embed, train with two workers, evaluate, register.
demo: $(VENV)/.base
	$(BIN)/raygenex run jobs/demo.yaml

# One Ray for all tests that need one, in one process; the others are shared out by file.
test: $(VENV)/.test
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 8 --dist loadscope --no-loadscope-reorder -m "not slow"

# Kills workers, actors and drivers, and waits for the recovery: one after the other, since each starts processes enough.
test-slow: $(VENV)/.test
	$(BIN)/python -m pytest -m slow

# Those of them that failed the last time.
test-slow-again: $(VENV)/.test
	$(BIN)/python -m pytest -m slow --last-failed --last-failed-no-failures none

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/deptry .
	$(BIN)/python tests/audit.py

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -W -b html docs docs/_build

# torch goes first, so that no later package pulls another build of it.
$(VENV)/.base: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV), a few minutes the first time"
	$(PIP) $(TORCH)
	$(PIP) -c constraints.txt $(TORCH) -e .
	touch $@

$(VENV)/.test $(VENV)/.lint $(VENV)/.docs: $(VENV)/.%: $(VENV)/.base
	$(PIP) -c constraints.txt $(TORCH) -e '.[$*]'
	touch $@

clean:
	rm -rf runs docs/_build .pytest_cache .ruff_cache .mypy_cache
