# The project's commands. Each makes .venv first if it is missing.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
DUCK := --style samples/paintings/the-garden-at-bougival-1884.jpg --patch samples/cutouts/duck.png --at 690,480 --width 330

# What `make fuzz` begins with; the same seed brings the same cases.
SEED ?= $(shell date +%s)

.PHONY: setup demo test slow fuzz browser cluster bench lint types check

setup: $(READY)

$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]' && touch $@

demo: $(READY)
	mkdir -p demo && $(BIN)/harmonize run $(DUCK) --output demo/duck.png --sheet demo/duck-sheet.png --overwrite
	@echo "The picture is demo/duck.png; composite and result side by side: demo/duck-sheet.png"

test: $(READY)
	$(BIN)/python -m pytest

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
