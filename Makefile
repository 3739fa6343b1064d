# up      set up what is missing and serve; Ctrl-C stops
# test    check, then run all tests (real Spark included); prints how long each group took.
#         With RUNTIME=1.3: only the tests with Spark, on that runtime
# check   linters, types, import contracts, prose
# bench   measure against plain PySpark (needs a quiet machine)
# clean   remove what can be made again; never data

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.livius
PYTEST_ARGS ?=
RUNTIME ?=

.PHONY: up test check bench clean
.DEFAULT_GOAL := up

up: $(STAMP)-gateway
	@$(BIN)/livius up

test: $(STAMP)-dev
	@$(if $(RUNTIME),LIVIUS_DEFAULT_RUNTIME=$(RUNTIME)) $(BIN)/python tests/groups.py $(PYTEST_ARGS)

check: $(STAMP)-dev
	$(BIN)/ruff check src tests bench
	$(BIN)/ruff format --check src tests bench
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell *.md docs src tests bench
	$(BIN)/python -m pytest -q tests/unit/test_prose.py

bench: $(STAMP)-dev
	@$(BIN)/livius runtime
	@$(BIN)/python -m bench $(BENCH_ARGS)

clean:
	rm -rf .venv build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# One environment. What tests need comes on top of what the gateway needs and stays there.
$(STAMP)-uv:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"Livius needs Python 3.11 or newer; {sys.executable} is {v[0]}.{v[1]}. Name another: make PYTHON=python3.12")'
	@echo "Making the Python environment in .venv (about 60 MB to download)"
	@$(PYTHON) -m venv .venv 2>/dev/null || $(PYTHON) -m venv --without-pip .venv
	@$(BIN)/python -m pip --version >/dev/null 2>&1 \
		&& $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt \
		|| $(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes --prefix .venv -r requirements/bootstrap.txt
	@touch $@

$(STAMP)-gateway: $(STAMP)-uv requirements/gateway.txt pyproject.toml
	@test -e $(STAMP)-dev || VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --require-hashes --no-deps -r requirements/gateway.txt
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(STAMP)-dev: $(STAMP)-uv requirements/dev.txt pyproject.toml
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --require-hashes --no-deps -r requirements/dev.txt
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@ $(STAMP)-gateway
