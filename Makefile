# The project's commands. Each makes .venv first if it is missing.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
RUNS := .venv/.runs
RAY := .venv/.ray
OLDEST := .venv-oldest
AUDIT := .venv-audit
DEMO := samples/paintings/the-garden-at-bougival-1884.jpg samples/cutouts/duck.png --at 690,480 --width 330

# Tests compute with one thread each: as many at a time as there are processors, and memory for.
PARALLEL := --numprocesses=logical --maxprocesses=4 --dist=worksteal

# What `make fuzz` begins with; the same seed brings the same cases.
SEED ?= $(shell date +%s)

.PHONY: setup demo test oldest slow fuzz browser cluster bench lint types check audit

setup: $(READY)

$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]' && touch $@

# Installs only what a run needs; nothing, where `make setup` has been.
demo: $(if $(wildcard $(READY)),,$(RUNS))
	@echo "Painting: about half a minute on two processors."
	$(BIN)/harmonize run $(DEMO) --output demo/picture.png --sheet demo/before-after.png --overwrite
	@echo "The picture: demo/picture.png. Pasted and painted side by side: demo/before-after.png"

$(RUNS): pyproject.toml
	@echo "Installing PyTorch and the rest into .venv: some minutes, most of them downloads."
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable . && touch $@

test: $(READY)
	$(BIN)/python -m pytest $(PARALLEL)

# The tests with the oldest versions that pyproject.toml allows: for Python 3.11 or 3.12, in which
# all of these can be had.
oldest: $(OLDEST)/.ready
	$(OLDEST)/bin/python -m pytest $(PARALLEL)

$(OLDEST)/.ready: pyproject.toml scripts/oldest.py
	test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python scripts/oldest.py > $(OLDEST)/oldest.txt
	$(OLDEST)/bin/python -m pip install --quiet --constraint $(OLDEST)/oldest.txt --editable '.[dev]' && touch $@

slow: $(READY)
	$(BIN)/python -m pytest -m slow

fuzz: $(READY)
	$(BIN)/python -m pytest tests/fuzz --hypothesis-profile=fuzz --hypothesis-seed=$(SEED)

# Rules of accessibility are checked where npm can fetch axe-core.
browser: $(READY)
	test -d .venv/axe || ! command -v npm || npm install --silent --prefix .venv/axe axe-core@4
	$(BIN)/python -m pytest -m browser

cluster: $(RAY)
	$(BIN)/python -m pytest tests/batch/test_ray_batch.py
	$(BIN)/python -m pytest -m cluster

$(RAY): $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[ray]' && touch $@

bench: $(READY)
	$(BIN)/python -m benchmarks

lint: $(READY)
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

check: lint types test

# Known flaws of what is installed, and of the oldest that may be. What cannot be looked up is an
# error too; where no database can be reached, that is said, with exit code 3 from the check.
audit: $(READY)
	test -x $(AUDIT)/bin/pip-audit || { $(PYTHON) -m venv $(AUDIT) && $(AUDIT)/bin/python -m pip install --quiet 'pip-audit>=2.7,<3'; }
	@echo 'pip==25.0' > $(AUDIT)/probe.txt
	@! $(AUDIT)/bin/pip-audit --strict --no-deps --disable-pip --requirement $(AUDIT)/probe.txt 2>&1 \
	  | grep -qiE 'could not be audited|connection|service' \
	  || { echo "audit: no database of known flaws can be reached from here; nothing was looked up"; exit 3; }
	$(BIN)/python -m pip list --format=freeze --exclude-editable > $(AUDIT)/newest.txt
	$(AUDIT)/bin/python scripts/oldest.py > $(AUDIT)/oldest.txt
	$(AUDIT)/bin/pip-audit --strict --no-deps --disable-pip --requirement $(AUDIT)/newest.txt
	$(AUDIT)/bin/pip-audit --strict --no-deps --disable-pip --requirement $(AUDIT)/oldest.txt
