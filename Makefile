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
PACKAGES = cli compiler latency_tables nas targets

.PHONY: demo test lint types clean

demo: $(VENV)/.installed-data
	rm -rf $(DEMO)

test: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -n auto

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
