# The one door to the project. `make` alone lists the targets.
#
# Every target that needs the environment builds it first, and building is a no-op while the lock files stand still,
# so there is no order to remember. ARGS goes to the tool behind the target: make test ARGS="tests/audit -k merkle".

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
DATA ?= data
JOBS ?= 2
ARGS ?=
LOCK_FLAGS := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^##@ / {print "\n" substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Use

.PHONY: run
run: environment-run ## set up, load the demo group, play the story, then serve on loopback until stopped; keeps its data
	@$(BIN)/ecrin demo --serve --data $(DATA) $(ARGS)

.PHONY: demo
demo: environment-run ## play the story on a throw-away vault, assert every step of it, exit
	@$(BIN)/ecrin demo $(ARGS)

.PHONY: setup
setup: environment-dev ## create .venv with everything that development needs

##@ Check

.PHONY: test
test: environment-dev system ## all tests, on SQLite and on a throw-away PostgreSQL cluster
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -rfEs $(ARGS)

.PHONY: test-fast
test-fast: environment-dev ## the tests that start no server, no cluster and no victim process
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -m "not postgresql and not server and not crash" $(ARGS)

.PHONY: lint
lint: environment-dev ## ruff: rules and format
	@$(BIN)/ruff check $(ARGS)
	@$(BIN)/ruff format --check

.PHONY: format
format: environment-dev ## ruff: apply the safe fixes and the format
	@$(BIN)/ruff check --fix-only --quiet
	@$(BIN)/ruff format

.PHONY: types
types: environment-dev ## mypy, strict
	@$(BIN)/mypy $(ARGS)

.PHONY: arch
arch: environment-dev ## import contracts and the tests that hold the shape of the tree
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m pytest tests/architecture -p no:randomly $(ARGS)

.PHONY: cov
cov: environment-dev system ## all tests with branch coverage; browsable in htmlcov/
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup --cov --cov-report=term --cov-report=html $(ARGS)

.PHONY: bench
bench: environment-dev system ## measure the speeds of docs/performance.md; writes bench.json
	@$(BIN)/python -m tests.bench $(ARGS)

##@ Maintain

.PHONY: lock
lock: environment-dev ## resolve pyproject.toml anew into the lock files (make lock ARGS=--upgrade moves versions)
	@$(BIN)/uv pip compile .ci/bootstrap.in $(LOCK_FLAGS) $(ARGS) -o .ci/bootstrap.lock
	@$(BIN)/uv pip compile pyproject.toml --all-extras $(LOCK_FLAGS) $(ARGS) -o requirements-dev.lock
	@$(BIN)/uv pip compile pyproject.toml $(LOCK_FLAGS) -c requirements-dev.lock -o requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --extra providers $(LOCK_FLAGS) -c requirements-dev.lock -o requirements-providers.lock

.PHONY: advisories
advisories: environment-dev ## ask the public database of advisories about every pinned part; needs the network
	@.ci/advisories.sh $(ARGS)

.PHONY: openapi
openapi: environment-dev ## write docs/openapi.json from the running code
	@$(BIN)/ecrin openapi docs/openapi.json

.PHONY: clean
clean: ## remove the environment and every cache; keeps data/
	@rm -rf .venv build dist *.egg-info htmlcov .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Not for the command line: each compares a stamp and returns at once when nothing moved.

.PHONY: environment-run
environment-run:
	@.ci/setup-python.sh run

.PHONY: environment-dev
environment-dev:
	@.ci/setup-python.sh dev

.PHONY: system
system:
	@.ci/setup-system.sh
