PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run cluster test soak bench lint format words clean

# DEMO=1 fills the rooms, and has simulated people talk.
run: $(VENV)/.installed
	@$(BIN)/python manage.py up

# Three processes on PostgreSQL and Redis behind nginx. SERVER=daphne for the other one.
cluster: $(VENV)/.installed-cluster
	@$(BIN)/python -m project.cluster

test: $(VENV)/.installed-dev
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests

# Faults, cuts and crashes at length. SEED=… repeats the moments of the kills.
soak: $(VENV)/.installed-dev
	@data=$$(mktemp -d) && trap "rm -rf $$data" EXIT && \
	  SOAK=1 DATA_DIR="$$data" $(BIN)/python -m pytest -q -s tests/faults \
	  tests/chat/test_histories.py tests/project/test_cluster.py tests/browser/test_recovery.py \
	  tests/browser/test_presence.py

bench: $(VENV)/.installed-bench
	@$(BIN)/python -m tests.bench $(ONLY)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# After texts have changed: brings the catalogues up to date; then translate what is
# new in */locale/*/LC_MESSAGES/*.po, and type it again. Needs gettext.
NOT_OURS := $(foreach name,monitor tests docs var .venv node_modules,--ignore $(name))
words: $(VENV)/.installed
	@for domain in django djangojs; do \
	  $(BIN)/python manage.py makemessages -l es -d $$domain $(NOT_OURS) --no-location --no-obsolete; \
	done && $(BIN)/python manage.py compilemessages -l es --ignore $(VENV)

clean:
	rm -rf $(VENV)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Channelscope needs Python 3.11 or later; try make run PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }

$(VENV)/.installed: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements.txt requirements-dev.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-cluster: requirements-cluster.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-cluster.txt
	@touch $@

$(VENV)/.installed-bench: requirements-bench.txt $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	@touch $@
