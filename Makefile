# One-word tasks; `.ci/run` uses them too. PYTHON is the interpreter of the environment that has the requirements.

PYTHON ?= python

.PHONY: help install run test test-long lint format types check bench

help:  ## say what the tasks are
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install:  ## install what the tests need
	$(PYTHON) -m pip install -r tests/requirements.txt

run:  ## start the dashboard
	$(PYTHON) -m streamlit run app.py

test:  ## run all tests but the long ones
	$(PYTHON) -m pytest

# Pytest's status 5 says that no test is marked.
test-long:  ## run the long tests
	$(PYTHON) -m pytest -m long || test $$? -eq 5

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
