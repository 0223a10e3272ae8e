# Everything a newcomer does starts here: `make` lists the targets.
PYTHON ?= python3.11
UV := $(or $(shell command -v uv 2>/dev/null),.tools/uv/bin/uv)
RUN := .venv/bin
READY := .venv/.ready
SOURCES := chaincode sdk network fl_tasks tests benchmarks

# The machine's own certificates count, so that installing works behind an organisation's proxy.
export UV_SYSTEM_CERTS := 1
export UV_NATIVE_TLS := 1

.DEFAULT_GOAL := help
.PHONY: help install demo test lint bench docs clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-8s %s\n' "$$name" "$$text"; done

.tools/uv/bin/uv:
	$(PYTHON) -m venv .tools/uv
	.tools/uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.5'

# Compiled once, TensorFlow starts in a third of the time.
$(READY): pyproject.toml uv.lock | $(filter .tools/%,$(UV))
	$(UV) sync --frozen --all-extras --python $(PYTHON) --compile-bytecode
	@touch $@

install: $(READY) ## install everything from the lock file into .venv

demo: $(READY) ## four hospitals train one model over an embedded ledger
	$(RUN)/fedledger demo $(DEMO)

test: $(READY) ## run the tests
	$(RUN)/python -m pytest -n 2 --dist loadfile $(TESTS)

lint: $(READY) ## ruff, mypy (strict) and the contracts between layers
	$(RUN)/ruff check $(SOURCES)
	$(RUN)/ruff format --check $(SOURCES)
	$(RUN)/mypy
	$(RUN)/lint-imports

bench: $(READY) ## the figures of README and docs, with the machine they were taken on
	for benchmark in benchmarks/[a-z]*.py; do $(RUN)/python $$benchmark || exit 1; done
	$(RUN)/python -m benchmarks.contribution
	@echo 'Poisoning takes hours: python -m benchmarks.poisoning --help'

docs: $(READY) ## check that links and commands in the documentation are right
	$(RUN)/python -m pytest -q tests/docs

clean: ## remove what was installed and run
	rm -rf .venv .tools run
