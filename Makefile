# One-word tasks; `.ci/run` uses them too. PYTHON is the interpreter of the environment that has the requirements.

PYTHON ?= python

.PHONY: help install run test test-long lint format types check bench lock licences audit

help:  ## say what the tasks are
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install:  ## install what the tests need
	$(PYTHON) -m pip install -r tests/requirements.txt

run:  ## start the dashboard
	$(PYTHON) -m streamlit run app.py

test:  ## run all tests but the long ones
	$(PYTHON) -m pytest -n 2 --dist worksteal

# Pytest's status 5 says that no test is marked.
test-long:  ## run the long tests
	$(PYTHON) -m pytest -n 2 --dist worksteal -m long || test $$? -eq 5

lint:  ## check style and format
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

format:  ## mend style and format
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

types:  ## check types
	$(PYTHON) -m mypy

check: lint types test  ## all that a change must pass, but the long tests

bench:  ## measure what measuring costs
	$(PYTHON) -m profcore bench

# Of the public index alone, whatever this machine is set up to install from, for every platform and Python; what is
# locked stays as it is where the ranges allow it, unless UPGRADE=--upgrade is given. Needs `pip install uv`.
lock:  ## lock what requirements.txt allows, with hashes
	$(PYTHON) -m uv pip compile --no-config --default-index https://pypi.org/simple --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --custom-compile-command "make lock" --quiet $(UPGRADE) \
		requirements.txt --output-file requirements.lock

licences:  ## list the licences of what is locked
	$(PYTHON) -m tests.licences

# Needs `pip install pip-audit` and the public index's answers; what that does not know fails too.
audit:  ## look for known vulnerabilities in what is locked
	$(PYTHON) -m pip_audit --requirement requirements.lock --require-hashes --disable-pip --strict
