# The daily work. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
SAM_VENV := .venv-sam
CHECKOV_VENV := .venv-checkov
SDK_VENV := .venv-sdk
PYTHON ?= $(shell command -v python3.13 || command -v python3)
TESTS ?= tests
# Workers of the tests, which wait much for other processes, sockets and clocks: three keep two cores busy. In a browser
# sound is played and heard at a call's own pace, so two run those tests before all others.
WORKERS ?= 3
BROWSER_WORKERS ?= 2
BROWSER_TESTS := tests/functional/browser
STAMP := $(VENV)/.installed
SAM_STAMP := $(SAM_VENV)/.installed
CHECKOV_STAMP := $(CHECKOV_VENV)/.installed
SDK_STAMP := $(SDK_VENV)/.installed
AWS_VENV := .venv-aws
AWS_STAMP := $(AWS_VENV)/.installed
DOCS_STAMP := $(VENV)/.docs-installed

# The tests start the command's and the functions' processes hundreds of times: what is compiled once is kept.
export PYTHONDONTWRITEBYTECODE :=
# `make check` runs an eighth of each property's examples (tests/support/examples.py); these run all.
unit test run-tests mutation: export ALL_EXAMPLES := 1

.PHONY: help setup setup-tests compile-tests run-tests setup-sam setup-checkov setup-docs setup-aws setup-chromium setup-sdks style types check format unit lint-templates test test-firefox environments chaos-engine export-many backfill-simulation cold-start long-call fuzz sam-local demo deploy docs flow flow-into-template speech chaos words-chaos mutation bench side-by-side sbom provenance lock upgrade sdk-tests packaged-template cdk-tests lint-parameter-sets built-examples clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

setup: $(STAMP) ## Make .venv with everything pinned (done by the other targets when needed)

$(STAMP): requirements/dev.txt requirements/uv.txt layers/dependencies/requirements.txt pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" scripts/setup.sh $(VENV) requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

setup-sam: $(SAM_STAMP) ## Make .venv-sam with SAM CLI and cfn-lint

$(SAM_STAMP): requirements/sam.txt requirements/uv.txt scripts/setup.sh
	@PYTHON="$(PYTHON)" scripts/setup.sh $(SAM_VENV) requirements/sam.txt
	@touch $@

setup-checkov: $(CHECKOV_STAMP) ## Make .venv-checkov with the templates' security linter

$(CHECKOV_STAMP): requirements/checkov.txt requirements/uv.txt scripts/setup.sh
	@PYTHON="$(PYTHON)" scripts/setup.sh $(CHECKOV_VENV) requirements/checkov.txt
	@touch $@

setup-docs: $(DOCS_STAMP)

$(DOCS_STAMP): $(STAMP) requirements/docs.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements/docs.txt
	@touch $@

setup-aws: $(AWS_STAMP)

$(AWS_STAMP): $(STAMP) requirements/aws.txt
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(AWS_VENV)
	@$(BIN)/uv pip install --quiet --python $(AWS_VENV)/bin/python --require-hashes --requirement requirements/aws.txt
	@touch $@

setup-sdks: $(SDK_STAMP) ## Make .venv-sdk with the SDKs that emulate is tried with

$(SDK_STAMP): requirements/sdk.txt requirements/javascript/package-lock.json requirements/uv.txt scripts/setup.sh scripts/setup-sdks.sh
	@PYTHON="$(PYTHON)" scripts/setup-sdks.sh $(SDK_VENV)
	@touch $@

setup-chromium:
	@scripts/setup-chromium.sh

style: $(STAMP)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports --no-cache

types: $(STAMP)
	@# Beside it run tests that wait for clocks: it takes what they leave.
	@nice -n 19 $(BIN)/mypy

check: $(STAMP) ## Format, lint, types, import rules and unit tests: under a minute
	@$(MAKE) --no-print-directory -j 2 style types
	@$(BIN)/pytest -q -n 2 -m 'not slow' tests/unit

format: $(STAMP) ## Format and apply safe fixes
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

unit: $(STAMP) ## Unit tests alone
	@$(BIN)/pytest -q -n 2 tests/unit

lint-templates: $(STAMP) $(SAM_STAMP) $(CHECKOV_STAMP) ## Template and examples under SAM CLI, cfn-lint at its strictest and checkov
	@$(BIN)/pytest -q tests/infrastructure/test_linters.py

built-examples: $(STAMP) $(SAM_STAMP) ## The function of examples/transcribe-jobs.yaml, built by SAM CLI, starts a job
	@BUILD_EXAMPLES=1 $(BIN)/pytest -q -n 0 tests/functional/test_built_artifact.py -k words_after

lint-parameter-sets: $(STAMP) $(SAM_STAMP) ## cfn-lint at its strictest on what SAM makes of 20 sets of parameters: some minutes
	@LINT_PARAMETER_SETS=1 $(BIN)/pytest -q -n 0 tests/infrastructure/test_parameter_sets.py

setup-tests: $(STAMP) ## Everything that make test needs: further environments, and Chromium where it may be installed
	@# These wait for a network most of the time.
	@$(MAKE) --no-print-directory -j 3 setup-sam setup-checkov setup-docs setup-aws setup-chromium setup-sdks

test: setup-tests ## Every check that CI runs
	@$(MAKE) --no-print-directory style
	@# The tests wait much for other processes, for sockets and for clocks; mypy fills the time.
	@$(MAKE) --no-print-directory -j 2 run-tests types

compile-tests: $(STAMP)
	@# Otherwise each of the workers compiles all the tests. A test that cannot be imported is run-tests' to tell.
	@$(BIN)/pytest --collect-only -q $(TESTS) >/dev/null 2>&1 || true

RUN_TESTS = $(BIN)/pytest --dist loadfile --no-loadscope-reorder \
	-m 'not containers and not environments and not firefox and not cdk'

run-tests: $(STAMP)
	@# The tests of a file share what they start, so one worker runs them all.
	@$(if $(filter tests,$(TESTS)),$(RUN_TESTS) -n $(BROWSER_WORKERS) $(BROWSER_TESTS))
	@$(RUN_TESTS) -n $(WORKERS) $(TESTS) $(if $(filter tests,$(TESTS)),--ignore $(BROWSER_TESTS))

test-firefox: $(STAMP) ## Call page and serve in Firefox: what is heard, keys, the live view, frames; a minute
	@scripts/setup-firefox.sh
	@$(BIN)/pytest -q -s -m firefox tests/functional/browser/test_in_firefox.py

environments: $(STAMP) ## README's first command in earnest on ten users' machines: needs the package index, some minutes
	@scripts/setup-chromium.sh
	@$(BIN)/pytest -s -m environments tests/functional/browser/test_first_command.py

sam-local: $(STAMP) $(SAM_STAMP) ## Both functions by `sam local invoke` in containers: needs docker, two minutes
	@$(BIN)/pytest -m containers tests/functional/test_sam_local.py

sdk-tests: $(STAMP) $(SDK_STAMP) ## The SDKs of JavaScript, aiobotocore and capo against `connect-audio emulate`
	@$(BIN)/pytest -q tests/functional/test_sdks.py

chaos-engine: $(STAMP) ## Kills by SIGKILL through handler and durable engine: N=50 schedules, from SEED=1
	@CHAOS_ENGINE_N=$(or $(N),50) CHAOS_ENGINE_SEED=$(or $(SEED),1) $(BIN)/pytest -q -s tests/functional/test_chaos_engine.py tests/functional/test_chaos_engine_words.py -k whatever

.PHONY: archive-chaos
archive-chaos: $(STAMP) ## Execution, redrive, exports and repairs of one call at once in N=2000 seeded runs (FIRST=, SEED=)
	@PYTHONPATH=tests $(BIN)/python -m chaos.archive $(if $(SEED),--seed $(SEED),$(or $(N),2000) $(if $(FIRST),--first $(FIRST)))

export-many: $(STAMP) ## 1000 calls exported, killed on the way and resumed: flat memory, nothing twice; some minutes
	@$(BIN)/python -m benchmarks.export_many

backfill-simulation: $(STAMP) ## 100 000 calls recorded after they ended, simulated: time, cost, the quota that binds first
	@$(BIN)/python -m benchmarks.backfill_simulation

cold-start: $(STAMP) $(SAM_STAMP) ## What `sam build` makes until it can call AWS, with and without its bytecode: a minute
	@$(BIN)/python -m benchmarks.built_cold_start

long-call: $(STAMP) ## A call of HOURS=24 at high speed through handler and durable engine, and its figures
	@$(BIN)/python -m connect_audio_local.long_call --hours $(or $(HOURS),24)

fuzz: $(STAMP) ## Parser, recording, replay and events under Atheris: SECONDS=60, SEED=1, CAPTURES=DIR to start from too
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements/fuzz.txt \
	  || { echo "fuzz: Atheris has wheels for Linux on x86_64 alone; the bounded run is part of make test" >&2; exit 1; }
	@$(BIN)/python -m fuzz $(or $(SECONDS),60) --seed $(or $(SEED),1) $(if $(CAPTURES),--captures $(CAPTURES))

demo: $(STAMP) ## A whole two-party call, from the Connect event to the WAV, with no AWS account
	@$(BIN)/connect-audio demo

deploy: $(STAMP) $(SAM_STAMP) ## Build the stack and deploy it, with PARAMETERS="Name=value ..." or asking for each
	@PATH="$(abspath $(BIN)):$$PATH" $(SAM_VENV)/bin/sam build
	@$(SAM_VENV)/bin/sam deploy $(if $(PARAMETERS),--parameter-overrides $(PARAMETERS),--guided)

packaged-template: $(STAMP) $(SAM_STAMP) ## Plain CloudFormation and its zips in build/package, for CDK and Terraform: ARCHITECTURE=arm64
	@PATH="$(abspath $(BIN)):$$PATH" $(SAM_VENV)/bin/sam build --parameter-overrides Architecture=$(or $(ARCHITECTURE),arm64)
	@$(SAM_VENV)/bin/python scripts/package_template.py --architecture $(or $(ARCHITECTURE),arm64)

cdk-tests: $(STAMP) $(SAM_STAMP) ## The packaged template in an app of the AWS CDK, and nested: needs node and the npm registry
	@mkdir -p build/cdk && cp requirements/cdk/package.json requirements/cdk/package-lock.json build/cdk
	@npm ci --prefix build/cdk --ignore-scripts --no-audit --no-fund --silent
	@$(BIN)/pytest -q -m cdk tests/infrastructure/test_cdk.py

docs: $(DOCS_STAMP) ## The docs site in build/site, without a network; a broken link ends it
	@$(BIN)/python -m sphinx -q -W --keep-going -E -c docs_site -d build/site-doctrees -b html . build/site
	@echo "docs: build/site/index.html"

flow: $(STAMP) ## The contact flow with the ARNs of STACK=connect-audio, or of a file (OUTPUTS=), and QUEUE=ARN
	@$(BIN)/python scripts/fill_flow.py $(if $(OUTPUTS),--outputs $(OUTPUTS),--stack $(or $(STACK),connect-audio)) $(if $(QUEUE),--queue $(QUEUE))

flow-into-template: $(STAMP) ## Write the contact flow into template.yaml, after a change of it
	@$(BIN)/python scripts/flow_into_template.py

speech: $(STAMP) ## Speak the digits of the recognition's tests again; needs Debian's flite (apt-get install flite)
	@$(BIN)/python scripts/make_speech.py

chaos: $(STAMP) ## Kill and disturb the recorder in N seeded schedules (N=200, KINDS=all), or in one again (SEED=)
	@PYTHONPATH=tests $(BIN)/python -m chaos $(if $(KINDS),--kinds $(KINDS)) $(if $(SEED),--seed $(SEED),$(or $(N),200) $(if $(FIRST),--first $(FIRST)))

words-chaos: $(STAMP) ## Kills, hand-overs and dying sessions in N seeded calls with words (N=2000), each word once
	@WORDS_CHAOS_SEEDS=$(or $(N),2000) $(BIN)/pytest -q -n 0 tests/unit/words/test_words_chaos.py

mutation: $(STAMP) ## Mutants of core and recorder against their unit tests: N=300 by SEED=1, or N=all; ONLY=core/wav
	@$(BIN)/python -m mutation $(or $(N),300) --seed $(or $(SEED),1) $(if $(ONLY),--only $(ONLY))

bench: $(STAMP) ## The performance claims, measured again
	@$(BIN)/python -m benchmarks

side-by-side: $(STAMP) ## This tree and commit a2710c3 measured in turn: all rows, or ROWS=replay-1h,start-up; REPEATS=5
	@$(BIN)/python -m benchmarks.side_by_side --repeats $(or $(REPEATS),5) $(if $(ROWS),--only $(ROWS))

sbom: $(STAMP) ## Bill of materials of the layers' wheels (CycloneDX) in build/: ARCHITECTURE=arm64; needs the package index
	@$(BIN)/python scripts/sbom.py --architecture $(or $(ARCHITECTURE),arm64)

provenance: $(STAMP) ## Provenance of what sam build made (in-toto, SLSA) in build/: ARCHITECTURE=arm64 INDEX=ADDRESS; needs the package index
	@$(BIN)/python -m scripts.provenance --architecture $(or $(ARCHITECTURE),arm64) $(if $(INDEX),--index $(INDEX))

lock: $(STAMP) ## Pin new requirements with hashes; the other pins stay: all files, or ONLY=layer
	@scripts/lock.sh $(ONLY)

upgrade: $(STAMP) ## Move every pin to the newest version: all files, or ONLY="dev sam"
	@scripts/lock.sh --upgrade $(ONLY)

clean: ## Remove what the targets made
	rm -rf $(VENV) $(AWS_VENV) $(SAM_VENV) $(CHECKOV_VENV) $(SDK_VENV) build .aws-sam .pytest_cache .mypy_cache .ruff_cache .hypothesis
