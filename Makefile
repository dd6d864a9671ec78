# make up | down | status | demo | test | check | bench, see README. Works with GNU make 3.81 (macOS) and later.

SHELL := /bin/sh
VENV := .venv
PYTHON := $(VENV)/bin/python

.PHONY: help up down status demo test screenshots explore stripe-contract check format bench install lock clean

help:
	@echo "make up      start a site: servers, migrations, topics, master list, services (ctrl-C stops it)"
	@echo "             SITE=name PORT_OFFSET=100 for a further one; DETACH=1 returns when it is up"
	@echo "make down    stop it"
	@echo "make status  show processes, health, restarts and lag"
	@echo "make demo    sites, partners and buyers on one broker for DEMO_SECONDS=60, then an audit"
	@echo "make test    the whole suite on real PostgreSQL, Redis and Kafka; ARGS='-k name' for a part"
	@echo "make screenshots  a picture of each page, at a phone's and a desk's width, into var/screenshots"
	@echo "make explore the properties and contracts with other examples each time"
	@echo "make stripe-contract  what payments sends to Stripe, against Stripe's own schema; needs Go"
	@echo "make check   lint, format, types, import contracts"
	@echo "make bench   benchmarks, results in benchmarks/results"

up: install
	@$(PYTHON) -m matchday up

down: install
	@$(PYTHON) -m matchday down

status: install
	@$(PYTHON) -m matchday status

demo: install
	@$(PYTHON) -m matchday.demo

test: install
	@sh deploy/spark.sh
	@sh deploy/browser.sh
	@$(PYTHON) -m pytest tests $(ARGS)

screenshots: install
	@sh deploy/browser.sh
	@$(PYTHON) -m pytest -q tests/browser/pictures.py $(ARGS)
	@echo "the pictures are in var/screenshots"

explore: install
	@HYPOTHESIS_PROFILE=explore $(PYTHON) -m pytest tests/unit tests/contract $(ARGS)

stripe-contract: install
	@$(PYTHON) -m tests.stripe_mock

check: install
	@sh deploy/spark.sh
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy .
	@$(VENV)/bin/lint-imports

format: install
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

bench: install
	@$(PYTHON) -m benchmarks $(ARGS)

install:
	@sh deploy/install.sh

# After a change of the dependencies in pyproject.toml; needs the tool uv.
LOCK_OPTIONS := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q
LOCK := uv pip compile pyproject.toml $(LOCK_OPTIONS)
SPARK := sed -n 's/^spark = \["\(.*\)"\]$$/\1/p' pyproject.toml
lock:
	$(LOCK) --extra servers --extra dev -o requirements.lock
	$(LOCK) -c requirements.lock -o deploy/requirements.lock
	$(SPARK) | uv pip compile - $(LOCK_OPTIONS) -o deploy/spark.lock

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
