# The two commands: make weekly, make test. Everything else is for developing.
.DEFAULT_GOAL := help
SHELL := /bin/bash
# The first that runs and is new enough; failing that python3, which is then told what is missing.
PYTHON := $(or $(PYTHON),$(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && exit; \
	done; command -v python3))
BIN := .venv/bin
# No telemetry, from any of the packages.
export DO_NOT_TRACK := 1
export KEDRO_DISABLE_TELEMETRY := 1
export MLFLOW_DISABLE_TELEMETRY := true

help:  ## show this
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 12

setup:  ## make or renew .venv (done by all others)
	@test -n "$(PYTHON)" || { echo "setup: no Python found, 3.11 or newer is needed: 'apt-get install python3 python3-venv'."; exit 1; }
	@$(PYTHON) tools/setup_environment.py

weekly: setup  ## the whole week; SIZE=tiny|demo|evidence|full and SEED=N choose another demo
ifneq ($(SIZE)$(SEED),)
	@! grep -qs '^tournament: *numerai' conf/local/globals.yml || { echo "make: SIZE and SEED choose a demo, but the real tournament is chosen; type 'kedro tournament use demo' first."; exit 1; }
	@$(BIN)/kedro tournament use demo --size $(or $(SIZE),demo) --seed $(or $(SEED),0)
endif
	$(BIN)/kedro run --pipeline=weekly

test: setup  ## every test, as CI runs them
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder --durations 25

FAULTS = tests/test_drawn_faults.py tests/test_damage.py tests/test_fault_table.py

drill: setup  ## 1,500 faults: drawn, damage, the table, and kills wherever a file is written
	FAULTS=1240 DAMAGES=80 FAULT_TABLE=whole DRILL=whole $(BIN)/pytest -n 2 --dist worksteal --no-header -q tests/test_drill.py $(FAULTS)

drill-night: setup  ## 10,000 of them (hours)
	FAULTS=9000 DAMAGES=640 FAULT_TABLE=whole DRILL=whole $(BIN)/pytest -n 2 --dist worksteal --no-header -q tests/test_drill.py $(FAULTS)

faults: setup  ## play the table of faults, and write docs/faults.md
	@rm -rf build/faults && mkdir -p build/faults
	FAULT_TABLE=whole FAULT_ROWS=$(CURDIR)/build/faults $(BIN)/pytest -n 2 --dist load --no-header -q tests/test_fault_table.py
	$(BIN)/python tools/fault_document.py build/faults

quick: setup  ## the tests that are not marked slow: some minutes
	$(BIN)/pytest -n 2 --dist loadfile -m "not slow" -q

lint: setup  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/style_table.py

bench: setup  ## every benchmark; each prints a table and one line of JSON
	@for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

evidence: setup  ## claims over the claim seeds: make evidence NAME=weekly (resumable, hours)
	@test -f benchmarks/evidence_$(NAME).py || { echo "make: NAME is one of: $(patsubst benchmarks/evidence_%.py,%,$(wildcard benchmarks/evidence_*.py))"; exit 1; }
	@$(BIN)/python benchmarks/evidence_$(NAME).py

mutants: setup  ## changes of the code that quick tests must notice; SEED=1 COUNT=300, resumable
	$(BIN)/python tools/mutants.py --seed $(or $(SEED),1) --count $(or $(COUNT),300) $(if $(AGAIN),--again)

viz: setup  ## the graph, in a browser
	$(BIN)/kedro viz run

clean:  ## remove what can be made again; data and conf/local stay
	rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache .hypothesis .viz

.PHONY: help setup weekly test drill drill-night faults quick lint bench evidence mutants viz clean
