# What people and CI run alike. `make` lists the targets.
PYTHON ?= python3.11
BIN := .venv/bin
PORT ?= 5000
# Where pages in development come from (React, Vite, python -m http.server, others); `make serve` alone lets them in, by
# setting or emptying SHINE_CORS_ORIGINS one decides otherwise.
DEV_ORIGINS := http://localhost:3000,http://localhost:5173,http://localhost:8000,http://localhost:8080,http://127.0.0.1:3000,http://127.0.0.1:5173,http://127.0.0.1:8000,http://127.0.0.1:8080
# Tests run in so many processes, one more than two cores, for many wait; those of a module stay together, the longest
# first (tests/conftest.py).
PROCESSES ?= 3
PYTEST = $(BIN)/python -m pytest --durations 10
SPREAD = -n $(PROCESSES)
# Labelled photos to train on: ACNE04, or your own (docs/training.md). STEPS=8 tries the whole way in minutes.
DATA ?= ../shared/data
STEPS ?=
RUN := $(if $(STEPS),trial,main)
# What is trained never replaces the project's weights, unless BUNDLE=bentos/skin/weights says so.
RUN_BUNDLE = $(or $(BUNDLE),$(or $(SHINE_TRAIN_CACHE),.cache/training)/runs/$(RUN)/bundle)
LONG_STEPS = 12000
export BENTOML_DO_NOT_TRACK := true
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Compiled modules are kept: tests start some sixty servers of four processes each.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup setup-training setup-image setup-batch serve test test-all check lock audit key faults rollout-demo rollout-failures mutation soak tune train train-long train-smoke evaluate repeatability publish bench bento image measure test-container clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: .venv/installed ## create .venv and install what serving, tests and checks need
.venv/installed: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: apt-get install python3.11-venv"; exit 1; }
	@echo "Setting up .venv, once: one to three minutes, longer on a slow line."
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

setup-training: setup .venv/installed-training ## add what training and evaluation need
.venv/installed-training: requirements/training.txt requirements/torch.txt
	$(BIN)/pip install --quiet --require-hashes -r requirements/training.txt
	$(BIN)/pip install --quiet -r requirements/torch.txt
	@touch $@

setup-image: setup .venv/installed-image ## add what building and judging the image needs
.venv/installed-image: requirements/image.txt
	$(BIN)/pip install --quiet --require-hashes -r requirements/image.txt
	@touch $@

setup-batch: setup .venv/installed-batch ## add what `shine batch` needs: pyarrow and Ray
.venv/installed-batch: requirements/batch.txt
	$(BIN)/pip install --quiet --require-hashes -r requirements/batch.txt
	@touch $@

serve: setup ## answer photos on http://localhost:5000 (PORT=… for another port)
	SHINE_LOG_FORMAT=$${SHINE_LOG_FORMAT:-text} SHINE_CORS_ORIGINS=$${SHINE_CORS_ORIGINS-$(DEV_ORIGINS)} \
	  PORT=$(PORT) $(BIN)/bentoml serve service:Gateway

test: setup setup-batch ## what a change must pass
	$(PYTEST) $(SPREAD) -m "not long"

# The long ones measure seconds of whole systems: they run one after the other.
test-all: setup setup-training setup-image setup-batch ## everything, the long ones too, and how much of the code they cover
	rm -f .coverage .coverage.*
	$(PYTEST) $(SPREAD) --hypothesis-profile long -m "not long" --cov --cov-report= --cov-fail-under=0
	$(PYTEST) -m long --cov --cov-append --cov-report= --cov-fail-under=0
	$(BIN)/coverage report --skip-covered

faults: setup ## every row of the fault matrix, as root; writes .cache/faults.json and the table in docs/faults.md
	rm -f .cache/faults.json
	FAULTS_JSON=.cache/faults.json $(BIN)/python -m pytest tests/faults --deselect tests/faults/test_soak.py
	$(BIN)/python -m tests.faults.outcomes

rollout-demo: setup ## watch one image climb four phases, on a stand-in for AWS on loopback (2 minutes)
	$(BIN)/python -m tests.rollout.demo

rollout-failures: setup ## what goes wrong in a rollout, one by one, while photos are sent; writes docs/rollout-failures.md
	rm -f .cache/rollout.json
	ROLLOUT_JSON=.cache/rollout.json $(BIN)/python -m pytest tests/rollout/test_failures.py
	$(BIN)/python -m tests.rollout.outcomes .cache/rollout.json

mutation: setup setup-training ## does each row fail when the code that serves it is taken out? (25 minutes)
	$(BIN)/python -m tests.faults.mutation

soak: setup ## mixed load with a random fault every 20 s; SECONDS_SOAK=1200 SEED_SOAK=…
	$(BIN)/python -m pytest -s tests/faults/test_soak.py

check: setup setup-training ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

lock: setup ## pin requirements/*.in exactly, with hashes
	: > requirements/none.txt; before=none; for name in runtime deploy dev image training; do \
	  $(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    -c requirements/$$before.txt requirements/$$name.in -o requirements/$$name.txt || exit 1; before=$$name; done; \
	rm requirements/none.txt
	$(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  -c requirements/runtime.txt requirements/bench.in -o requirements/bench.txt
	$(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  -c requirements/image.txt -c requirements/training.txt requirements/batch.in -o requirements/batch.txt
	$(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  requirements/checkov.in -o requirements/checkov.txt

audit: setup ## lock, environment, licences, known vulnerabilities; error 3: those could not be asked for
	$(BIN)/python -m tests.audit --licenses .cache/licenses.txt

key: setup ## make an API key, and its entry for SHINE_API_KEYS
	@$(BIN)/python -m bentos.skin.keys

tune: setup-training ## fit the heuristics' constants on the train split
	$(BIN)/python -m training.tune

train: setup-training ## train, export, bundle and measure (about 90 minutes); goes on where it stopped; DATA=, STEPS=, BUNDLE=
	$(BIN)/python -m training.train --data "$(DATA)" --run $(RUN) $(if $(STEPS),--steps $(STEPS))
	$(bundle_and_measure)

train-long: RUN = long
train-long: setup-training ## the same as long as the project's weights were: 12,000 steps in two runs of 150 minutes at most
	for _ in 1 2; do $(BIN)/python -m training.train --data "$(DATA)" --run long --steps $(LONG_STEPS) --minutes 150 || exit; done
	$(bundle_and_measure)

define bundle_and_measure
	$(BIN)/python -m training.export --data "$(DATA)" --run $(RUN)
	$(BIN)/python -m training.bundle --run $(RUN) --out "$(RUN_BUNDLE)"
	$(BIN)/python -m training.evaluate --data "$(DATA)" --bundle "$(RUN_BUNDLE)" $(if $(STEPS),--quick --skip-robustness)
endef

train-smoke: setup-training ## the same way in two minutes, good for nothing else
	$(BIN)/python -m training.train --smoke
	$(BIN)/python -m training.export --run smoke
	$(BIN)/python -m training.bundle --run smoke --out .cache/training/runs/smoke/bundle

evaluate: setup-training ## measure model and heuristics on photos they never saw; DATA=, BUNDLE=
	$(BIN)/python -m training.evaluate --data "$(DATA)" $(if $(BUNDLE),--bundle "$(BUNDLE)")

repeatability: setup-training ## by how much must a score differ to mean something? (10 minutes); DATA=, BUNDLE=
	$(BIN)/python -m training.repeatability --data "$(DATA)" $(if $(BUNDLE),--bundle "$(BUNDLE)")

publish: setup ## publish weights: TO=s3://bucket/prefix or a folder; BUNDLE=DIR, ARGS=--list, --rollback: docs/weights.md
	@test -n "$(TO)" || { echo 'name the place: make publish TO=s3://bucket/prefix, or TO=/a/folder'; exit 1; }
	$(BIN)/python -m training.publish $(TO) $(if $(BUNDLE),--bundle $(BUNDLE)) $(ARGS)

# The servers that the service is compared with, in an environment of their own: tests never see it.
.PHONY: setup-bench
setup-bench: setup .cache/bench-venv/installed
.cache/bench-venv/installed: requirements/bench.txt
	$(PYTHON) -m venv --clear .cache/bench-venv
	.cache/bench-venv/bin/pip install --quiet --require-hashes -r requirements/bench.txt
	@touch $@

bench: setup-bench setup-batch ## compare with other servers and with the limit (17 minutes); BASE=COMMIT too, ARGS=--quick, --help
	$(BIN)/python -m tests.load.bench $(if $(BASE),--base $(BASE)) $(ARGS)

.PHONY: bench-batch
bench-batch: setup-batch ## measure `shine batch` by both engines, and what millions of photos take: docs/batch.md (20 minutes)
	$(BIN)/python -m tests.load.batch $(ARGS)

.PHONY: capacity
capacity: setup ## measure 0.5, 1 and 2 cores, as root; tasks and prices: docs/capacity.md (15 minutes); ARGS=--quick, --help
	$(BIN)/python -m tests.load.capacity $(ARGS)

bento: setup ## build the bento
	git rev-parse HEAD > bentos/skin/REVISION
	$(BIN)/bentoml build; status=$$?; rm -f bentos/skin/REVISION; exit $$status

image: setup-image ## build the production image, its bill of materials and licences; as root it starts an engine itself
	$(BIN)/python -m deploy.image.build

measure: setup-image ## measure the image, and write what its contract tells (10 minutes on a quiet machine)
	$(BIN)/python -m deploy.image.measure $$($(BIN)/python -m deploy.image.build --no-sbom | grep -oE '^shine:[^ ]+')

test-container: setup-image ## the image under a real engine (25 minutes; SECONDS_MEMORY=60 for 15)
	$(BIN)/python -m pytest tests/container

clean: ## remove what the targets made
	rm -rf .venv .cache dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* bentos/skin/REVISION
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
