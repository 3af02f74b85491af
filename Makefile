# The developer's commands. `make` lists them.
#
# VENV=folder puts the virtual environment elsewhere; ARGS="..." is handed to the program behind `demo`, `test` and `bench`.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV ?= .venv
BENCH_VENV ?= .venv-bench
SPEECH_VENV ?= .venv-speech
SBOM_VENV ?= .venv-sbom
ARGS ?=
MINUTES ?= 10
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3; do \
	"$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v "$$python" && break; done)
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
NEWER := 3.12 3.13
BENCH_INSTALLED := $(BENCH_VENV)/.installed
SPEECH_INSTALLED := $(SPEECH_VENV)/.installed
SBOM_INSTALLED := $(SBOM_VENV)/.installed
NATIVE := build/native
# Bytecode is kept: to compile the tests anew at every run would take 7 s, and callpulse in every process a second.
PYTEST_PYTHON = env -u PYTHONDONTWRITEBYTECODE $(BIN)/python
# Tests of Kafka wait for it most of the time, so there are more processes than processors.
SIDE_BY_SIDE := 3
# In two halves beside each other: to hand out tests one by one takes a fifth more of the processors. A half in which
# ARGS choose no test ends with 5. Schemathesis's plugin takes half a second to import, and no fast test needs it.
FAST = $(PYTEST_PYTHON) -m pytest -q -p no:schemathesis -m "not broker and not slow" --hypothesis-profile=quick
COMPILE = $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate \
	--no-emit-options --upgrade

.PHONY: help install demo demo-speech test check pythons fast fuzz thorough outage bench sizing native lock sbom boards docs tools voices clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1|\2/' | column -t -s '|'

install: $(INSTALLED) ## make the virtual environment, with exactly the locked packages

demo: $(INSTALLED) ## watch a simulated department live: Kafka, a worker, the board (ARGS="--seconds 60 --report FILE.json")
	@$(BIN)/callpulse demo $(ARGS)

demo-speech: $(INSTALLED) $(SPEECH_INSTALLED) voices ## speak two calls, recognise them, and see their figures (ARGS="--language ru": one)
	@$(BIN)/python -m speech_demo --python $(SPEECH_VENV)/bin/python $(ARGS)

test: $(INSTALLED) tools ## run every test, three files at a time, and list what they leave out (ARGS="-k word": some, without the list)
	@rm -rf build/coverage; mkdir -p build/coverage
	$(if $(ARGS),,@$(PYTEST_PYTHON) -m coverage run -m tests.imports)
	$(PYTEST_PYTHON) $(if $(ARGS),,-m coverage run) -m pytest -n $(SIDE_BY_SIDE) --dist loadfile --no-loadscope-reorder $(ARGS)
	$(if $(ARGS),,@$(BIN)/coverage combine --quiet && $(BIN)/coverage json --quiet -o build/coverage/report.json && \
		$(BIN)/python -m tests.coverage_report build/coverage/report.json)

check: $(INSTALLED) ## the quick pass: lint, format, types and the fast tests, with a tenth of the examples; about a minute on two free cores
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	@mkdir -p build; code=0; \
	$(BIN)/mypy > build/types.log 2>&1 & types=$$!; \
	( $(FAST) --ignore=tests/streams --ignore=tests/oracle --ignore=tests/benchmarks --ignore=tests/gateway $(ARGS) || [ $$? = 5 ] ) > build/check.log 2>&1 & rest=$$!; \
	$(FAST) tests/streams tests/oracle tests/benchmarks tests/gateway $(ARGS) || [ $$? = 5 ] || code=1; \
	wait $$types || code=1; wait $$rest || code=1; cat build/types.log build/check.log; exit $$code

pythons: ## import everything and run the fast tests on Python 3.12 and 3.13, where they are found
	@for version in $(NEWER); do \
		python=$$(.ci/python $$version) || { echo "Python $$version is not found: left out."; continue; }; \
		echo "Python $$version: $$python"; \
		$(MAKE) --no-print-directory fast VENV=.venv-$$version PYTHON="$$python" ARGS="$(ARGS)"; \
	done

fast: $(INSTALLED) ## import everything and run the fast tests: one Python of `make pythons`
	$(BIN)/python -W error::SyntaxWarning -m tests.imports
	$(FAST) -n 2 $(ARGS)

thorough: $(INSTALLED) ## try every property with ten times the examples; takes an hour or more
	$(BIN)/python -m pytest -q -m "hypothesis and not broker" --hypothesis-profile=thorough --timeout=3600 -n 2 $(ARGS)

fuzz: $(INSTALLED) ## read what nobody sends, for ten minutes (MINUTES=1: for one), with every test that has the marker `fuzz`
	@end=$$((SECONDS + 60 * $(MINUTES))); round=0; while [ $$SECONDS -lt $$end ]; do round=$$((round + 1)); \
		echo "round $$round, $$(((end - SECONDS) / 60)) min left"; \
		$(BIN)/python -m pytest -q -x -n 2 -m fuzz --hypothesis-profile=fuzz --hypothesis-seed=$$round$$RANDOM tests $(ARGS); done

outage: $(INSTALLED) ## take Kafka away for ten minutes (MINUTES=1: for one) while requests come in, and look for each of them
	$(BIN)/python -m tests.broker.outage --minutes $(MINUTES) $(ARGS)

bench: $(INSTALLED) $(BENCH_INSTALLED) tools native ## measure, beside other ways to do the same
	$(BIN)/python -m benchmarks --docs docs/benchmarks.md $(ARGS)

sizing: $(INSTALLED) native ## measure scaling, growth and a rebuild, and renew tables and plots of the page on operations
	$(BIN)/python -m benchmarks --only scaling,growth,rebuild-quarter --docs docs/operations.md --plots docs/images $(ARGS)

native: $(NATIVE)/.installed ## compile the folds, as in the wheel that is deployed, into build/native

lock: $(INSTALLED) ## choose the newest packages that pyproject.toml allows, and write them down
	@mkdir -p build
	.ci/requirements dev bench > build/bench.in
	.ci/requirements dev > build/dev.in
	$(COMPILE) --output-file build/bench.lock build/bench.in
	$(COMPILE) --output-file build/dev.lock --constraint build/bench.lock build/dev.in
	.ci/requirements --only speech > build/speech.in
	$(COMPILE) --output-file build/speech.lock build/speech.in
	.ci/requirements > build/run.in
	.ci/requirements --only image > build/image.in
	.ci/requirements --only sbom > build/sbom.in
	$(COMPILE) --output-file build/run.lock --constraint build/dev.lock build/run.in
	$(COMPILE) --output-file build/image.lock --constraint build/dev.lock build/image.in
	$(COMPILE) --output-file build/sbom.lock build/sbom.in
	{ echo "# Made by \`make lock\` from pyproject.toml: what it takes to run."; cat build/run.lock; } > requirements-run.lock
	{ echo "# Made by \`make lock\` from pyproject.toml: what compiles the wheel in the image."; cat build/image.lock; } > requirements-image.lock
	{ echo "# Made by \`make lock\` from pyproject.toml: what writes the bill of materials."; cat build/sbom.lock; } > requirements-sbom.lock
	{ echo "# Made by \`make lock\` from pyproject.toml: the recogniser of \`make demo-speech\`, and its models."; cat build/speech.lock; } > requirements-speech.lock
	{ echo "# Made by \`make lock\` from pyproject.toml: what it takes to run, test and check."; cat build/dev.lock; } > requirements.lock
	{ echo "# Made by \`make lock\` from pyproject.toml: the same, and what the benchmarks compare with."; cat build/bench.lock; } > requirements-bench.lock

sbom: $(SBOM_INSTALLED) ## write what callpulse consists of as a bill of materials (CycloneDX): build/callpulse.cdx.json
	@mkdir -p build
	$(SBOM_VENV)/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --output-format JSON \
		--output-file build/callpulse.cdx.json requirements-run.lock

boards: $(INSTALLED) ## generate the Grafana dashboards and the alert rules
	$(BIN)/python -m grafana.build

docs: $(INSTALLED) ## generate docs/metrics.md, docs/ru/metrics.md, docs/schema and docs/openapi.json
	$(BIN)/callpulse metrics --markdown > docs/metrics.md
	$(BIN)/callpulse metrics --markdown --language ru > docs/ru/metrics.md
	for topic in calls crm speech; do $(BIN)/callpulse schema "$$topic" > "docs/schema/$$topic.json"; done
	$(BIN)/callpulse schema openapi > docs/openapi.json

tools: ## install promtool, amtool, systemd-analyze and a C compiler, where they are missing and this is root
	@missing=""; \
	command -v cc > /dev/null || missing="gcc libc6-dev"; \
	[ -f "$$("$(PYTHON)" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] || missing="$$missing python3-dev"; \
	command -v promtool > /dev/null || missing="$$missing prometheus"; \
	command -v amtool > /dev/null || missing="$$missing prometheus-alertmanager"; \
	command -v systemd-analyze > /dev/null || missing="$$missing systemd"; \
	[ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
		echo "installing $$missing"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing > /dev/null; \
	else \
		echo "The tests need promtool, amtool, systemd-analyze and a C compiler. Install: $$missing (Debian's names)." >&2; exit 1; \
	fi

voices: ## install the programs that speak in the demo of transcripts, where they are missing and this is root
	@missing=""; \
	command -v espeak-ng > /dev/null || missing="espeak-ng"; \
	command -v text2wave > /dev/null || missing="$$missing festival"; \
	[ -d /usr/share/festival/voices/russian ] || missing="$$missing festvox-ru"; \
	[ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
		echo "installing $$missing"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing > /dev/null; \
	else \
		echo "The demo needs programs that speak. Install: $$missing (Debian's names)." >&2; exit 1; \
	fi

clean: ## remove what was built, but not the virtual environments
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +

$(INSTALLED): requirements.lock pyproject.toml
	@[ -n "$(PYTHON)" ] || { echo "callpulse needs Python 3.11 or newer with venv and pip, and none is on the PATH" \
		"(Debian: apt-get install python3 python3-venv)." >&2; exit 1; }
	[ -x $(BIN)/python ] || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(NATIVE)/.installed: $(INSTALLED) hatch_build.py $(shell find streams agents -name '*.py')
	@rm -rf $(NATIVE); mkdir -p $(NATIVE)
	COMPILE_CALLPULSE=1 $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		--target $(NATIVE) .
	@touch $@

$(SPEECH_INSTALLED): requirements-speech.lock
	[ -x $(SPEECH_VENV)/bin/python ] || "$(PYTHON)" -m venv $(SPEECH_VENV)
	$(SPEECH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-speech.lock
	@touch $@

$(SBOM_INSTALLED): requirements-sbom.lock
	[ -x $(SBOM_VENV)/bin/python ] || "$(PYTHON)" -m venv $(SBOM_VENV)
	$(SBOM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-sbom.lock
	@touch $@

$(BENCH_INSTALLED): requirements-bench.lock pyproject.toml
	[ -x $(BENCH_VENV)/bin/python ] || "$(PYTHON)" -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
