# Targets: `make help` lists them.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
JOBS ?= 2
# Processes that the tests start import compiled modules, even where the environment forbids to write them.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help setup demo check test lint docs format benchmark gpu clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY) ## Make .venv with pinned versions and iebench in it (PYTHON= chooses the interpreter)

demo: $(READY) ## From nothing to an evaluated SIE model and runs/demo/report.html, in seven to eleven minutes
	$(BIN)/iebench demo --out runs/demo

test: $(READY) ## Run all tests that need no GPU, in as many processes as JOBS says (2)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

check: lint ## For each save: make lint, and the quick tests that start no Blender, browser or other process
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m 'not (gpu or blender or browser or processes or slow)'

lint: $(READY) ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python .ci/docstrings.py

docs: $(READY) ## Build the documentation site, offline: build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

format: $(READY) ## Mend style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: $(READY) ## Every method on 3,600 objects: a table in benchmarks/RESULTS.md and a report (many hours)
	$(BIN)/iebench models make runs/methods/models --objects-per-class 200
	$(BIN)/iebench render runs/methods/models runs/methods/views --views 6 --size 64 --preset draft
	$(BIN)/python benchmarks/methods.py --data runs/methods/views --out runs/methods

gpu: $(READY) ## All that wants measuring on one GPU, in nine minutes at most: runs/gpu/gpu.md
	$(BIN)/python benchmarks/gpu.py --out runs/gpu

clean: ## Delete .venv and caches, not data or runs
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "iebench renders with Blender 4.5, whose wheels are for Python 3.11 only, and there is no $(PYTHON)."; \
	  echo "Install it: apt-get install -y python3.11 python3.11-venv   (or: make setup PYTHON=/path/to/python3.11)"; \
	  exit 1; }
	@$(PYTHON) -m iebench.doctor --install-libraries
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing $$(grep -c == requirements.lock) pinned packages, Blender and PyTorch among them; the first time takes some minutes."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)
