# `make study` builds the whole study, `make test` runs the tests; both install what they need first.
#   make study PROFILE=full   the notebooks at full size, executed into _build/full/notebooks
#   make PY=python3.12 ...    another interpreter;  make VENV=/some/place ...  another environment
VENV ?= .venv
PY ?= python3
PROFILE ?= quick
BIN := $(VENV)/bin
BOOK := _build/html/index.html
EXECUTED := $(if $(filter quick,$(PROFILE)),book/notebooks,_build/$(PROFILE)/notebooks)
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)

.PHONY: study test book notebooks install lint format clean
.DEFAULT_GOAL := study

study: notebooks
	$(MAKE) --no-print-directory book

install: $(VENV)/.ok
$(VENV)/.ok: pyproject.toml constraints.txt
	$(PY) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"Python 3.11 or newer is needed, this is {v[0]}.{v[1]}: make PY=python3.11")'
	test -x $(BIN)/python || $(PY) -m venv $(VENV)
	$(BIN)/python -m pip install -q uv -c constraints.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --compile-bytecode -c constraints.txt -e ".[all]"
	touch $@

# Executes notebooks/NN_*.ipynb; the quick profile is the reference run that the book shows.
notebooks: $(VENV)/.ok
	$(BIN)/python notebooks/run.py --profile $(PROFILE) --out $(EXECUTED)

# Builds from the committed executed copies, without running anything; every warning is an error.
book: $(VENV)/.ok
	$(BIN)/jupyter-book build book -W -n --keep-going --quiet
	@test -f $(BOOK) && echo "The book starts at $(CURDIR)/$(BOOK)"

test: $(VENV)/.ok
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --continue-on-collection-errors

lint: $(VENV)/.ok
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.ok
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/nbstripout notebooks/*.ipynb

clean:
	rm -rf _build book/_build build .pytest_cache .ruff_cache src/coreloss.egg-info $(VENV)/.ok
	find src tests notebooks book -name __pycache__ -type d -prune -exec rm -rf {} +
