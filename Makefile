# Every target sets up what it needs; only Python 3.11+ with venv has to be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.made-ready
AZ := .venv-az
PEERS := .venv-peers
PYTEST := $(BIN)/python -m pytest

KERBEROS := $(VENV)/.made-kerberos
LANES := az or ansible or lab or wine or kerberos

.PHONY: demo test test-root test-lab test-windows test-az test-ansible lint format bench bench-guests clean help

help: ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /: /'

demo: $(READY) ## Audit and repair a simulated estate, write the reports to out/
	$(BIN)/auditor demo

test: $(READY) ## Every test that needs no root
	$(PYTEST) -n $(if $(WORKERS),$(WORKERS),auto) --dist worksteal -m "not ($(LANES))" $(ARGS)

test-root: test-lab test-windows ## As root: real Debian guests, Wine's own programs, a real KDC (docs/lab.md)

test-lab: $(READY) ## Real Debian guests with a real agent
	$(PYTEST) -n 0 -m lab $(ARGS)

test-windows: $(READY) $(KERBEROS) ## Wine's own programs, and a real KDC
	$(PYTEST) -n 0 -m "wine or kerberos" $(ARGS)

test-az: $(READY) $(AZ)/.made-ready ## A real az against the simulator (installs azure-cli, 0.7 GB)
	AUDITOR_AZ=$(CURDIR)/$(AZ)/bin/az AUDITOR_REQUIRE_LANES=1 $(PYTEST) -m az $(ARGS)

test-ansible: $(READY) $(PEERS)/.made-ready ## Our reading of inventories against Ansible's own
	AUDITOR_ANSIBLE=$(CURDIR)/$(PEERS)/bin/ansible-inventory AUDITOR_REQUIRE_LANES=1 $(PYTEST) -m ansible $(ARGS)

lint: $(READY) ## ruff, ruff format, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## Let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## The benchmarks of docs/performance.md
	$(BIN)/python -m benchmarks

bench-guests: $(READY) $(PEERS)/.made-ready ## Reaching 200 guests, against ssh2-python, pyinfra, Ansible and pywinrm
	$(BIN)/python -m benchmarks.guests --peers $(PEERS)/bin

clean: ## Remove what the targets made
	rm -rf $(VENV) $(AZ) $(PEERS) out build dist *.egg-info

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,dev]'
	touch $@

# the libraries build against MIT's own; without it the tests that want a KDC are skipped
$(KERBEROS): $(READY)
	if command -v krb5-config >/dev/null; then \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[kerberos]' gssapi krb5 \
	  && touch $@; fi

$(AZ)/.made-ready: constraints-az.txt
	$(PYTHON) -m venv $(AZ)
	$(AZ)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints-az.txt azure-cli
	touch $@

$(PEERS)/.made-ready: constraints-peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-peers.txt ansible-core pyinfra ssh2-python
	touch $@
