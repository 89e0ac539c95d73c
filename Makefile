# `make demo` and `make test` work from a fresh clone with Python >= 3.11, pip and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt

# Without compiled modules every process compiles torch and all else anew: ten seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check clusters lint format bench faults exact rivals edges gpu seeds executors notebooks docs browser clean

demo: $(VENV)/.installed  ## Discover the IOI circuit of SmolLM2-135M; leaves it in runs/ioi.
	$(BIN)/circuits discover ioi --out runs/ioi

test: $(VENV)/.installed-dev browser  ## Run all tests; those that need Chromium are skipped without one.
	$(BIN)/pytest

check: lint test  ## Everything that must hold before a commit.

clusters: $(VENV)/.installed-dev  ## The tests on a Ray cluster and on jobs of submitit; installs both.
	$(PIP_INSTALL) -e '.[ray,slurm]'
	$(BIN)/pytest -n 0 -m cluster

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.installed  ## Measure again what README and docs/numbers.md say (about an hour on two cores).
	$(BIN)/python -m benchmarks.discovery --write
	$(BIN)/python -m benchmarks.engines --write
	$(BIN)/python -m benchmarks.cost --write
	$(BIN)/python -m benchmarks.scaling --write
	$(BIN)/python -m benchmarks.recall --write
	$(BIN)/python -m benchmarks.chance --write
	$(BIN)/python -m benchmarks.truth_table --write
	$(BIN)/python -m benchmarks.coverage --write
	$(BIN)/python -m benchmarks.family_table --write
	$(BIN)/python -m benchmarks.long_context --write

faults: $(VENV)/.installed-dev  ## Kill, starve and feed every command with bad input, and count (about half an hour).
	$(BIN)/python -m benchmarks.faults --write

rivals: $(VENV)/.installed  ## The default against its rivals on ten seeds (hours; goes on where it was stopped).
	$(BIN)/python -m benchmarks.rivals --write

edges: $(VENV)/.installed  ## Every method that chooses edges on three seeds (hours; goes on where it was stopped).
	$(BIN)/python -m benchmarks.edges
	$(BIN)/python -m benchmarks.edge_agreement

gpu: $(VENV)/.installed-dev  ## What a GPU does, on a machine that has one (eight minutes).
	$(BIN)/python -m benchmarks.gpu

seeds: $(VENV)/.installed  ## The ten-seed table of docs/numbers.md (hours; goes on where it was stopped).
	$(BIN)/python -m benchmarks.seeds --write

executors: $(VENV)/.installed  ## Two workers against one, on an idle machine with two cores (about an hour).
	$(BIN)/python -m benchmarks.executors --write

exact: $(VENV)/.installed  ## The exact searches that `bench` compares with (hours; goes on where it was stopped).
	$(BIN)/python -m benchmarks.exact ioi:16 greater-than:16 gendered-pronouns:16 induction:4 docstring:2

notebooks: $(VENV)/.installed-dev  ## Run the notebooks and keep their outputs (needs Chromium, see README).
	$(PIP_INSTALL) -e '.[figures]'
	$(BIN)/python -m tests.test_notebooks

docs: $(VENV)/.installed-dev  ## Build the documentation into build/docs; a warning is an error.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# On a throw-away machine (CI set, root, Debian) Chromium is installed for the tests that open a page.
browser:
	@test -z "$$CI" || test "$$(id -u)" != 0 || command -v chromium >/dev/null || ! command -v apt-get >/dev/null || { \
		echo "Installing Chromium for the tests ..."; \
		{ timeout 90 apt-get -qq update && DEBIAN_FRONTEND=noninteractive timeout 240 apt-get -qq install -y --no-install-recommends chromium; } >/dev/null 2>&1 \
		|| echo "Chromium could not be installed: the tests that need it are skipped"; }

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "error: no Python found; install Python 3.11 or newer, or set PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is older than Python 3.11; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV) (about a minute, once) ..."
	$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP_INSTALL) -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis
