# Everything happens in .venv; the first target that runs makes it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := $(shell grep '^torch==' constraints.txt)
INSTALLED := $(VENV)/.installed

.PHONY: demo test test-slow lint docs clean

# The main job on simulated data: embed, train with two workers, evaluate, register.
demo: $(INSTALLED)
	$(BIN)/raygenex run jobs/demo.yaml

test: $(INSTALLED)
	$(BIN)/python -m pytest -m "not slow"

# Kills workers, actors and drivers, and waits for the recovery.
test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -W -b html docs docs/_build

# torch goes first, so that no later package pulls another build of it.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(TORCH) -e '.[test,lint]'
	touch $@

$(VENV)/.docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(TORCH) -e '.[docs]'
	touch $@

clean:
	rm -rf runs docs/_build .pytest_cache .ruff_cache .mypy_cache
