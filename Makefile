# Every target works from nothing: it makes .venv and installs the tested versions first (about two minutes, once).
# Another interpreter: make test PYTHON=python3.13

PYTHON = python3
NAME = digits-flow
BIN = .venv/bin
PIP = $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
INSTALL = $(PIP) --editable
PERF = OMP_NUM_THREADS=1 $(BIN)/pytest benchmarks/perf --rootdir benchmarks/perf --benchmark-only
# Libraries that the adapters are tested with, whose own dependencies are heavy, or contradict ours, and unused here.
PEERS = $(PIP) --no-deps torchcfm k-diffusion

.PHONY: help bench verify test slow fuzz mutants lint types perf perf-likelihood contest coverage train clean
.NOTPARALLEL:  # one pip at a time

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' Makefile

bench: .venv/for-use  ## compare samplers: which one is best at each number of network evaluations
	$(BIN)/fokker bench

verify: .venv/for-use  ## check every claim of the theory and the order of every solver (some minutes)
	$(BIN)/fokker verify --html verify.html

test: .venv/for-test  ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 8

slow: .venv/for-test  ## run the tests that take minutes
	OMP_NUM_THREADS=1 $(BIN)/pytest -m slow -n auto --maxprocesses 8

fuzz: .venv/for-test  ## call every public entry and command with wrong values, 10,000 times
	cd tools && OMP_NUM_THREADS=1 ../$(BIN)/python -m fuzz

mutants: .venv/for-test  ## break formulas on purpose, and count the slips that the tests notice (an hour)
	$(BIN)/pytest tools
	cd tools && ../$(BIN)/python -m mutation

lint: .venv/for-dev  ## check the code with ruff
	$(BIN)/ruff check .

types: .venv/for-dev  ## check the types with mypy
	@mkdir -p .typing && ln -sfn .. .typing/fokker
	$(BIN)/mypy -p fokker

perf: .venv/for-test  ## time the solvers and those of torchdiffeq in one run
	$(PERF)

perf-likelihood: .venv/for-test  ## time log p(x) of networks by four ways (an hour)
	$(PERF) -m slow

contest: .venv/for-use  ## tuning beside the published ways of tuning, on exact mixtures (an hour; it goes on where it ended)
	$(BIN)/python -c "from fokker.benchmarks.contest import contest; \
	    found = contest(['ring-vp', 'ring-condot', 'plane-vp', 'plane-condot'], folder='bench-results', progress=True); \
	    print(found.table(), found.summary(), found.summary('median'), sep='\n\n')"

coverage: .venv/for-use  ## write docs/coverage.md: what the source documents describe, and where it is
	$(BIN)/python tools/systems.py

train: .venv/for-test  ## train a shipped network again: make train NAME=digits-flow
	$(BIN)/fokker train $(NAME)

clean:  ## remove the environment, builds and caches
	rm -rf .venv .typing build dist fokker.egg-info .benchmarks .*_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# A stamp per set of extras: pip runs again only when what it reads has changed.
.venv/for-use: Makefile pyproject.toml constraints.txt | .venv
	$(INSTALL) '.[train]' && touch $@

.venv/for-test: Makefile pyproject.toml constraints.txt | .venv
	$(INSTALL) '.[train,adapters,test]' && $(PEERS) && touch $@

.venv/for-dev: Makefile pyproject.toml constraints.txt | .venv
	$(INSTALL) '.[train,adapters,test,dev]' && $(PEERS) && touch $@

.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	    "Fokker needs Python 3.11 or newer, and $(PYTHON) is older: name another with PYTHON=python3.11")'
	$(PYTHON) -m venv $@ || { rm -rf $@; exit 1; }
