# SPDX-License-Identifier: Apache-2.0
# make demo    install into .venv with pip alone, then measure, search, compile, verify and report
# make tables  measure the latency tables that come with the tool, those that are not current
# make test    install with the development tools and run the tests
# make quick   those of them that take one minute
# make nightly all that is exhaustive, too: an hour at most
# VENV, PYTHON and TORCH may be set: make demo TORCH="torch --index-url https://download.pytorch.org/whl/cpu"

VENV   ?= .venv
PYTHON ?= python3
TORCH  ?= torch==2.13.0
PIP    = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check
TT     = $(VENV)/bin/tinytailor
DEMO   = demo
TARGET = nucleo-f446re
DATA   = ucr:BasicMotions
PACKAGES = api cli compiler latency_tables nas targets

.PHONY: demo tables test quick nightly lint types clean

# A network for wrist-worn motion data that answers within 2 ms on an emulated Cortex-M4 board.
demo: $(VENV)/.installed-data
	rm -rf $(DEMO)
	$(TT) measure --data $(DATA) --target $(TARGET) --out $(DEMO)/table.jsonl --workers 2
	$(TT) search --data $(DATA) --target $(TARGET) \
	    --latency 2ms --ram 24KiB --flash 48KiB --table $(DEMO)/table.jsonl -o $(DEMO)/run

tables: $(VENV)/.installed-data
	$(VENV)/bin/python benchmarks/shipped_tables.py

test: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -n auto --dist loadgroup

# What needs nothing is run as if nothing were there.
quick: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -m pure --without tvm --without torch --without unicorn
	$(VENV)/bin/python -m pytest -n auto --dist loadgroup -m "tvm and not (emulator or qemu or torch or slow)"

# Every test, tests on other processors, and every row of every shipped table once more.
nightly: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -n auto --dist loadgroup --nightly --durations=20
	$(VENV)/bin/python benchmarks/shipped_tables.py --again

lint: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/.installed-dev
	mkdir -p .typing/tinytailor
	for part in __init__.py $(PACKAGES); do ln -sfn ../../$$part .typing/tinytailor/$$part; done
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
	$(PIP) --no-deps hls4ml==1.3.0  # for its ap_int headers alone
	touch $@
