# `make study` builds the whole study, `make test` runs the tests; both install what they need first.
VENV ?= .venv
PY ?= python3
BIN := $(VENV)/bin
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)

$(VENV)/.ok: pyproject.toml constraints.txt
	$(PY) -m venv $(VENV)
	$(BIN)/python -m pip install -q uv -c constraints.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --compile-bytecode -c constraints.txt -e ".[all]"
	touch $@

install: $(VENV)/.ok
.PHONY: install
