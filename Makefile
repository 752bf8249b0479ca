# SPDX-License-Identifier: Apache-2.0
# make demo    install into .venv with pip alone, then measure, search, compile, verify and report
# make test    install with the development tools and run the tests
# VENV, PYTHON and TORCH may be set: make demo TORCH="torch --index-url https://download.pytorch.org/whl/cpu"

VENV   ?= .venv
PYTHON ?= python3
TORCH  ?= torch==2.13.0
PIP    = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check
TT     = $(VENV)/bin/tinytailor
DEMO   = demo
TARGET = nucleo-f446re
DATA   = ucr:BasicMotions
PACKAGES = cli compiler latency_tables nas targets

.PHONY: demo test lint types clean

# A network for wrist-worn motion data that answers within 4 ms on an emulated Cortex-M4 board.
demo: $(VENV)/.installed-data
	rm -rf $(DEMO)
	$(TT) measure --target $(TARGET) --data $(DATA) --out $(DEMO)/table.jsonl --workers 2
	$(TT) search --target $(TARGET) --data $(DATA) --latency 4ms --ram 16KiB --flash 32KiB \
	    --table $(DEMO)/table.jsonl --trials 2 --seed 0 --out $(DEMO)/run --json > $(DEMO)/search.json
	$(TT) compile $(DEMO)/run/model.onnx --target $(TARGET) --out $(DEMO)/c
	$(TT) verify $(DEMO)/c --on emulator --inputs $(DEMO)/run/test.npz
	$(TT) report $(DEMO)/run
	@echo "The C project is in $(DEMO)/c, the report in $(DEMO)/run/report.md"

test: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -n auto --dist loadgroup

lint: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/.installed-dev
	mkdir -p .typing/tinytailor
	for package in $(PACKAGES); do ln -sfn ../../$$package .typing/tinytailor/$$package; done
	$(VENV)/bin/mypy -p tinytailor

clean:
	rm -rf $(VENV) $(DEMO) .typing .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# torch comes first and alone, so that TORCH can name an index of its own.
$(VENV)/.torch:
	$(PYTHON) -m venv $(VENV)
	$(PIP) $(TORCH)
	touch $@

$(VENV)/.installed-data: $(VENV)/.torch pyproject.toml
	$(PIP) -e '.[data]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.torch pyproject.toml
	$(PIP) -e '.[data,dev]'
	touch $@
