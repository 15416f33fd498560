# One command each; .ci/run calls the same targets. A fresh machine needs only Python 3.11+ and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export HF_HUB_DISABLE_TELEMETRY := 1
# Two test processes whose idle threads spin would slow each other down several times over.
check test slow: export OMP_WAIT_POLICY := PASSIVE

.PHONY: setup check test slow docs demo bench clean
.DEFAULT_GOAL := check

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt scripts/install.py
	$(PYTHON) scripts/install.py $(VENV)
	touch $@

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/size.py
	$(BIN)/pytest -m fast -n 2 --dist worksteal

test: $(STAMP)
	$(BIN)/pytest -n 2 --dist worksteal -rs

slow: $(STAMP)
	$(BIN)/pytest -m 'slow and not gpu and not live' -n 2 --dist worksteal -rs --timeout 900 --durations 10
	FTCTL_TEST_TODAY=2027-03-01 $(BIN)/pytest -m fast -n 2 --dist worksteal
	FTCTL_TEST_TODAY=2027-03-01 $(BIN)/pytest -m 'not slow' tests/advisor tests/cli/test_advise_command.py -n 2 --dist worksteal

demo: $(STAMP)
	$(BIN)/python examples/demo.py

docs: $(STAMP)
	$(BIN)/python scripts/docs.py

bench: $(STAMP)
	$(BIN)/python benchmarks/help_time.py

clean:
	rm -rf $(VENV) dist build demo-out .mypy_cache .ruff_cache .pytest_cache
