# One word each. Every target sets up what it needs in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check audit lock format fuzz bench bench-full clean

# Without isolation: what has no wheel is built by the setuptools of the lock, not by one that nothing checks.
$(READY): pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	grep -A2 '^setuptools==' requirements.lock > $(VENV)/setuptools.lock
	$(BIN)/python -m pip install --quiet --require-hashes --requirement $(VENV)/setuptools.lock
	$(BIN)/python -m pip install --quiet --no-build-isolation --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: $(READY)  ## edit real photographs against the built-in sandbox: no key, no cost
	$(BIN)/batch-editor run jobs/demo.yaml --sandbox --output outputs/demo
	@echo
	@echo "Edited images:    outputs/demo/images/"
	@echo "A row for each:   outputs/demo/manifest.csv"

test: $(READY)
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --cov --cov-report=term

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: $(READY)  ## look the locked packages up among the known vulnerabilities
	$(BIN)/python .ci/audit.py requirements.lock

lock: $(READY)  ## pin the newest versions that pyproject.toml allows, with the hashes of their files
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --group dev \
		--custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

FUZZ_SECONDS ?= 60
fuzz: $(READY)  ## mutated manifests, names and answers, each for FUZZ_SECONDS; what fails is kept in .fuzz/
	$(BIN)/python -m pip install --quiet --group fuzz
	for target in csv yaml template name answer image; do \
		$(BIN)/python tests/fuzz/fuzz.py $$target .fuzz -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

bench: $(READY)  ## measure against a bare loop and curl; writes docs/performance.md
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python benchmarks/compare.py

bench-full: $(READY)  ## the same at full size, with peers
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python benchmarks/compare.py --full

clean:
	rm -rf $(VENV) .fuzz benchmarks/.envs build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage
