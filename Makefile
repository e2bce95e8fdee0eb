# Each target is complete by itself: it needs Python >= 3.10, make and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PYTEST_ARGS ?= -n auto --dist worksteal

.PHONY: help train smoke test test-all lint format hooks docs tutorials clean
help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

train: $(VENV)/installed ## Train the default autoencoder on digits of MNIST that ship with it
	$(BIN)/aeexp

smoke: $(VENV)/installed ## One epoch, the help and one explanation: does it run here?
	$(BIN)/aeexp trainer.epochs=1 plot=none
	$(BIN)/aeexp --help
	$(BIN)/aeexp-explain vae

test: $(VENV)/installed lint ## Lint, then the tests of some minutes: all but those marked slow
	$(BIN)/python -m pytest $(PYTEST_ARGS) -m "not slow"

test-all: $(VENV)/installed lint ## Lint, then all tests, as CI does
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/installed ## Rules, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

format: $(VENV)/installed ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

hooks: $(VENV)/installed ## Lint before every commit: installs the git hook
	$(BIN)/pre-commit install

# The versions that were tested together; on a Python they do not support, the newest that fit.
$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	touch $@

# The variables: no advertising of other programs in the output, and no thread too many for small matrices.
docs: $(VENV)/installed ## Build the documentation into build/site; a warning is an error
	NO_MKDOCS_2_WARNING=true OMP_NUM_THREADS=1 $(BIN)/python -m mkdocs build --strict

tutorials: $(VENV)/installed ## Execute the tutorials anew and store them with their outputs
	OMP_NUM_THREADS=1 $(BIN)/python docs/tools/execute_tutorials.py

clean: ## Remove the environment and caches; outputs/ stays
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis build dist
