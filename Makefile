# Wayframe from a fresh clone, with nothing but Python 3.11 (or newer) and Node 20 (or newer).
# What was installed is remembered in .make/ and done again only when a lock file changed.

PYTHON ?= python3
BIN := .venv/bin
WEB_SOURCES := $(shell test -f web/package.json && find web -name node_modules -prune -o -type f -print)
WEB := $(if $(WEB_SOURCES),.make/web)
NPM := $(if $(WEB_SOURCES),.make/npm)

.PHONY: help run demo build test check format lock clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@echo 'make run     start a server (REST, media links, device ports; data in ./data)'
	@echo 'make demo    a server with simulated vehicles, to look at'
	@echo 'make build   install and build, start nothing'
	@echo 'make test    every check and every test'
	@echo 'make check   format, lint, types and room borders only'
	@echo 'make format  bring the code into the house format'
	@echo 'make lock    choose versions anew and write the lock files'
	@echo 'make clean   remove what make made (not ./data)'

run: .make/run $(WEB)
	@$(BIN)/wayframe serve $(ARGS)

demo: .make/run $(WEB)
	@$(BIN)/wayframe demo $(ARGS)

build: .make/run $(WEB)

check: .make/dev $(NPM)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(if $(NPM),npm --prefix web run --if-present check)

test: packages check $(WEB)
	$(if $(NPM),npm --prefix web run --if-present test)
	$(if $(ARGS),$(BIN)/pytest $(ARGS),$(ALL_TESTS))

# Most tests wait more than they work, so three run at a time, a file each; those that look at a whole server or a
# browser come after, two at a time.
LARGE := tests/e2e tests/browser tests/api/test_watch_page.py
ALL_TESTS = $(BIN)/pytest -n 3 --dist loadfile $(addprefix --ignore=,$(LARGE)) && \
	$(BIN)/pytest -n 2 --dist loadfile $(LARGE)

.PHONY: packages
packages:
	@.ci/packages

format: .make/dev
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format

COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	--no-header --python-version 3.11 --upgrade pyproject.toml --extra media --extra build
lock: .make/dev
	$(COMPILE) -o requirements.lock
	$(COMPILE) --extra sftp --extra dev -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf .venv .make .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	rm -rf web/node_modules src/wayframe/web
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- what is installed, remembered in .make/

INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check

.make/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo 'Wayframe needs Python 3.11 or newer, and $(PYTHON) is:' "$$($(PYTHON) --version 2>&1)"; \
	  echo 'Say which one to take: make run PYTHON=python3.12'; exit 1; }
	@echo 'Making the virtual environment .venv'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { \
	  echo 'On Debian and Ubuntu: apt-get install python3-venv'; rm -rf .venv; exit 1; }
	@mkdir -p .make && touch $@

.make/run: .make/venv requirements.lock
	@echo 'Installing what the server needs (requirements.lock)'
	@$(INSTALL) --require-hashes -r requirements.lock
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

.make/dev: .make/run requirements-dev.lock
	@echo 'Installing what checks and tests need (requirements-dev.lock)'
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

.make/npm: web/package-lock.json
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null || { \
	  echo 'The web pages need Node 20 or newer; node is:' "$$(node --version 2>&1)"; exit 1; }
	@echo 'Installing what the web pages need (web/package-lock.json)'
	@npm --prefix web ci --no-audit --no-fund --loglevel=error
	@mkdir -p .make && touch $@

.make/web: .make/npm $(WEB_SOURCES)
	@echo 'Building the web pages'
	@npm --prefix web run --silent build
	@touch $@
