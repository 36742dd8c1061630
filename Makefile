# `make study` builds the whole study, `make test` runs the tests; both install what they need first.
#   make study PROFILE=full   the notebooks at full size, executed into _build/full/notebooks
#   make results              which numbers the book shows, and whether they are up to date
#   make results gate         make one of them anew
#   make stress                kills, full disks, damaged files, an empty environment: minutes to an hour
#   make PY=python3.12 ...    another interpreter;  make VENV=/some/place ...  another environment
VENV ?= .venv
PY ?= python3
PROFILE ?= quick
BIN := $(VENV)/bin
BOOK := _build/html/index.html
EXECUTED := $(if $(filter quick,$(PROFILE)),book/notebooks,_build/$(PROFILE)/notebooks)
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)

.PHONY: study test stress book notebooks results install ours lint format clean
.DEFAULT_GOAL := study

study: notebooks
	$(MAKE) --no-print-directory book

install: $(VENV)/.ok ours
$(VENV)/.ok: pyproject.toml constraints.txt
	@test ! -s $@ || test "$$(cat $@)" = "$(CURDIR)" || { $(FOREIGN); }
	$(PY) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"Python 3.11 or newer is needed, this is {v[0]}.{v[1]}: make PY=python3.11")'
	test -x $(BIN)/python || $(PY) -m venv $(VENV)
	$(BIN)/python -m pip install -q uv -c constraints.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --compile-bytecode -c constraints.txt -e ".[all]"
	echo "$(CURDIR)" > $@

# An environment holds the package of one checkout; another one's is never re-pointed in silence.
FOREIGN = echo "$(VENV) belongs to $$(cat $(VENV)/.ok), not to $(CURDIR): name another one with VENV=, or remove $(VENV)/.ok to give it to this checkout" >&2; exit 1
ours: $(VENV)/.ok
	@test "$$(cat $(VENV)/.ok)" = "$(CURDIR)" || { $(FOREIGN); }

# Executes notebooks/NN_*.ipynb; the quick profile is the reference run that the book shows.
notebooks: ours
	$(BIN)/python notebooks/run.py --profile $(PROFILE) --out $(EXECUTED)

# Builds from the executed copies, without running anything; every warning is an error. Any
# environment that has the tools will do, and none is changed; without one, `make install` runs.
book:
	@test -x $(BIN)/jupyter-book || $(MAKE) --no-print-directory install
	$(BIN)/jupyter-book build book -W -n --keep-going --quiet
	@test -f $(BOOK) && echo "The book starts at $(CURDIR)/$(BOOK)"

test: ours
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --continue-on-collection-errors

# What faults leave behind; parts and sizes: python -m tests.stress --help
stress: ours
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.stress

# `make results gate` has two goals for make: the second is a name for the first.
ifeq (results,$(firstword $(MAKECMDGOALS)))
NAMES := $(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS))
$(NAMES): results ; @:
.PHONY: $(NAMES)
endif
results: ours
	$(BIN)/python -m coreloss.study.results $(NAMES)

lint: ours
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: ours
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/nbstripout notebooks/*.ipynb

clean:
	rm -rf _build book/_build build .pytest_cache .ruff_cache .mypy_cache src/coreloss.egg-info $(VENV)/.ok
	find src tests notebooks book -name __pycache__ -type d -prune -exec rm -rf {} +
