# The README's two commands are `make demo` and `make test`; everything else is a stage by itself.
PYTHON ?= python3
SUITE ?= nano
BIN := .venv/bin

.PHONY: env demo test test-slow lint train evaluate board lock docs
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# make /make /p' Makefile

# make demo                                     the main job: five lists become entries, and a page compares them
demo: env
	$(BIN)/datacomp demo --out build/demo

# make test                                     lint, types and the fast tests
test: env lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2

# make test-slow                                what takes minutes, a browser or a cluster
test-slow: env
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist worksteal --tb=short --durations=30 -m "(slow or slurm or browser) and not gpu"

# make train SCALE=nano POOL=… SUBSET=…         the whole chain for one list, here or as jobs; datacomp.toml may say all of it
train: env
	$(BIN)/datacomp run $(if $(SCALE),--scale $(SCALE)) $(if $(POOL),--pool "$(POOL)") $(if $(SUBSET),--subset "$(SUBSET)") $(ARGS)

# make evaluate RUN=build/nano/seed0            evaluate a run once more
evaluate: env
	$(BIN)/datacomp evaluate --run $(RUN) --suite $(SUITE)

# make board ENTRIES=build/demo/entries         the page of all entries
board: env
	$(BIN)/datacomp board build $(if $(ENTRIES),--entries $(ENTRIES)) --out build/board

env:
	@$(PYTHON) datacomp/bootstrap.py

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# make docs                                     write docs/commands.md from the commands' own help, and what was measured from the recorded runs
docs: env
	$(BIN)/python tests/commands_page.py > docs/commands.md
	$(BIN)/python -m datacomp.pipelines.reproduce docs
