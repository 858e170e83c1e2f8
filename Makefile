# One word each. Every target sets up what it needs in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-compile
# How far .venv has come. Each is written last, so that an installation that was cut off is begun again.
LIBRARIES := $(VENV)/.libraries
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
READY_SERVERS := $(VENV)/.ready-servers
READY_RAY := $(VENV)/.ready-ray

.PHONY: demo test test-fast test-servers test-ray cover check docs screenshots audit lock format fuzz bench bench-full clean

# What running needs. Begun anew when a lock has changed, for what a former lock named must not stay.
# The locks are complete, so nothing is resolved: what was published since they were made has no say.
$(LIBRARIES): requirements.lock requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("error: $(PYTHON) is Python %d.%d; 3.11 or newer is needed, as in: make $(MAKECMDGOALS) PYTHON=python3.12" % sys.version_info[:2])'
	@echo "Installing what running needs into $(VENV) …"
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP_INSTALL) --only-binary :all: --require-hashes --requirement requirements.lock
	touch $@

# Without isolation: the package is built by the setuptools of the lock, not by one that nothing checks.
$(READY): $(LIBRARIES) pyproject.toml
	$(PIP_INSTALL) --no-build-isolation --editable .
	$(BIN)/python -m pip check
	touch $@

# Without isolation for the same reason: not everything here has a wheel.
$(READY_DEV): $(READY)
	@echo "Installing what developing needs into $(VENV) …"
	$(PIP_INSTALL) --no-build-isolation --require-hashes --requirement requirements-dev.lock
	$(BIN)/python -m pip check
	touch $@

# Apart from the rest: it drives a browser, and weighs as much as all the others together.
$(READY_SERVERS): $(READY_DEV) requirements-servers.lock
	@echo "Installing what drives a browser into $(VENV) …"
	$(PIP_INSTALL) --only-binary :all: --require-hashes --requirement requirements-servers.lock
	$(BIN)/python -m pip check
	touch $@

# Apart for the same reason.
$(READY_RAY): $(READY_DEV) requirements-ray.lock
	@echo "Installing Ray into $(VENV) …"
	$(PIP_INSTALL) --only-binary :all: --require-hashes --requirement requirements-ray.lock
	$(BIN)/python -m pip check
	touch $@

demo: $(READY)  ## edit real photographs against the built-in sandbox: no key, no cost
	$(BIN)/batch-editor run jobs/demo.yaml --sandbox --output outputs/demo
	@echo
	@echo "Edited images:    outputs/demo/images/"
	@echo "A row for each:   outputs/demo/manifest.csv"

# A test at a time goes to whichever worker is free.
TEST := $(BIN)/python -m pytest --numprocesses auto --dist loadgroup

test: $(READY_DEV)
	$(TEST)

# They wait for half of their time, so more of them than there are cores.
test-fast: $(READY_DEV)  ## all but the slow ones
	$(TEST) --numprocesses 4 -m "not slow"

test-servers: $(READY_SERVERS)  ## what needs Chromium, other programs of Debian's or an S3 server
	$(TEST) --timeout 180 tests/servers

test-ray: $(READY_RAY)  ## what needs a Ray cluster, which it starts on this machine; one test at a time
	$(BIN)/python -m pytest --timeout 180 tests/ray

cover: $(READY_DEV)  ## the branches that tests reach; Python 3.11 takes up to three times as long for it
	$(TEST) --cov --cov-report=term

check: $(READY_DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

# Not --quiet: what isn't said isn't counted by --strict either. The variable leaves out Material's notice of its own end,
# in May 2027.
docs: $(READY_DEV)  ## renew what is made from the code, and build the site in build/docs
	$(BIN)/python docs/endpoints.py
	$(BIN)/python -m docs.reference
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Open build/docs/index.html"

screenshots: $(READY_SERVERS)  ## renew the pictures of docs/review.md
	$(BIN)/python -m docs.screenshots

audit: $(READY_DEV)  ## look the locked packages up among the known vulnerabilities
	$(BIN)/python .ci/audit.py requirements.lock
	$(BIN)/python .ci/audit.py requirements-dev.lock
	$(BIN)/python .ci/audit.py requirements-servers.lock
	$(BIN)/python .ci/audit.py requirements-ray.lock

# Extras are kept, or whoever resolves would look for what they stand for beyond the lock.
LOCK := $(BIN)/uv pip compile --quiet --upgrade --universal --no-strip-extras --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock"

# The larger lock first: what developing needs holds some of what running needs back (botocore wants python-dateutil 2).
# Not after $(READY_DEV), which a library that the lock doesn't have yet stops.
lock: $(LIBRARIES)  ## pin the newest versions that pyproject.toml allows, with the hashes of their files
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	$(LOCK) pyproject.toml --group dev --output-file requirements-dev.lock
	$(LOCK) pyproject.toml --group build --constraint requirements-dev.lock --output-file requirements.lock
	$(LOCK) --group servers --constraint requirements-dev.lock --output-file requirements-servers.lock
	$(LOCK) --group ray --constraint requirements-dev.lock --output-file requirements-ray.lock

format: $(READY_DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

FUZZ_SECONDS ?= 60
fuzz: $(READY_DEV)  ## mutated manifests, names and answers, each for FUZZ_SECONDS; what fails is kept in .fuzz/
	$(BIN)/python -m pip install --quiet --group fuzz
	for target in csv yaml template name answer image; do \
		$(BIN)/python tests/fuzz/fuzz.py $$target .fuzz -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

bench: $(READY_DEV)  ## measure against a bare loop and curl; writes docs/performance.md
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python benchmarks/compare.py

bench-full: $(READY_DEV)  ## the same at full size, with peers
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python benchmarks/compare.py --full

clean:
	rm -rf $(VENV) .fuzz benchmarks/.envs build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage
