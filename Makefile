# The project's commands. Each makes .venv first if it is missing.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
OLDEST := .venv-oldest
AUDIT := .venv-audit
DUCK := --style samples/paintings/the-garden-at-bougival-1884.jpg --patch samples/cutouts/duck.png --at 690,480 --width 330

# What `make fuzz` begins with; the same seed brings the same cases.
SEED ?= $(shell date +%s)

.PHONY: setup demo test oldest slow fuzz browser cluster bench lint types check audit

setup: $(READY)

$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]' && touch $@

demo: $(READY)
	mkdir -p demo && $(BIN)/harmonize run $(DUCK) --output demo/duck.png --sheet demo/duck-sheet.png --overwrite
	@echo "The picture is demo/duck.png; composite and result side by side: demo/duck-sheet.png"

test: $(READY)
	$(BIN)/python -m pytest

# The tests with the oldest versions that pyproject.toml allows: for Python 3.11 or 3.12, in which
# all of these can be had.
oldest: $(OLDEST)/.ready
	$(OLDEST)/bin/python -m pytest

$(OLDEST)/.ready: pyproject.toml scripts/oldest.py
	test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python scripts/oldest.py > $(OLDEST)/oldest.txt
	$(OLDEST)/bin/python -m pip install --quiet --constraint $(OLDEST)/oldest.txt --editable '.[dev]' && touch $@

slow: $(READY)
	$(BIN)/python -m pytest -m slow

fuzz: $(READY)
	$(BIN)/python -m pytest tests/fuzz --hypothesis-profile=fuzz --hypothesis-seed=$(SEED)

browser: $(READY)
	$(BIN)/python -m pytest -m browser

cluster: $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[ray]'
	$(BIN)/python -m pytest -m cluster

bench: $(READY)
	$(BIN)/python -m benchmarks

lint: $(READY)
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

check: lint types test

# Known flaws of what is installed, and of the oldest that may be; needs a network. What cannot be
# looked up is an error too.
audit: $(READY)
	test -x $(AUDIT)/bin/pip-audit || { $(PYTHON) -m venv $(AUDIT) && $(AUDIT)/bin/python -m pip install --quiet 'pip-audit>=2.7,<3'; }
	$(BIN)/python -m pip list --format=freeze --exclude-editable > $(AUDIT)/newest.txt
	$(AUDIT)/bin/python scripts/oldest.py > $(AUDIT)/oldest.txt
	$(AUDIT)/bin/pip-audit --strict --no-deps --disable-pip --requirement $(AUDIT)/newest.txt
	$(AUDIT)/bin/pip-audit --strict --no-deps --disable-pip --requirement $(AUDIT)/oldest.txt
