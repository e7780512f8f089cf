# `make` alone prints the targets. Recipes are one-liners over scripts/, images/build.py, tests/cluster and examples/demo.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PY := .venv/bin/python
STEP := @scripts/step.sh
NEXT := @printf '    next: %s\n'
CLUSTER := $(PY) -m cluster
PYTEST := $(PY) -m pytest
VENV := .venv/.stamp
export PYTHONPATH := tests:examples

.PHONY: help demo test lint unit integration e2e images crds docs cluster cluster-down bench bench-backfill bench-lift bench-serendipity lock venv clean

help: ## Print this list
	@echo 'Fathom: what a multimodal LLM sees in your items, in your ranker. Start with `make demo`.'
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: $(VENV) ## Caption, featurise, train, evaluate, serve and roll out, on a real cluster made here
	$(STEP) "Demo" $(PY) -m demo
	$(NEXT) "read the report named above; 'make cluster-down' takes the cluster away"

test: ## lint + unit + integration + e2e
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory integration
	@$(MAKE) --no-print-directory e2e
	$(NEXT) "everything passed: 'make demo' shows it at work"

lint: $(VENV) ## Style, types, manifests, chart, Containerfiles, generated files
	@scripts/lint.sh
	$(NEXT) "make unit"

unit: $(VENV) ## Unit tests; no cluster, minutes
	$(STEP) "Unit tests" $(PYTEST) tests/unit -q --numprocesses auto --maxprocesses 4 --dist loadfile
	$(NEXT) "make integration"

integration: $(VENV) ## Tests against a real API server
	$(STEP) "Integration tests" $(PYTEST) tests/integration -q
	$(NEXT) "make e2e"

e2e: $(VENV) ## Tests on a real cluster with real images: the demo's path, and what may go wrong on it
	$(STEP) "Cluster" $(CLUSTER) up
	$(STEP) "Images" $(PY) images/build.py --load
	$(STEP) "End-to-end tests" $(PYTEST) tests/e2e -q
	$(NEXT) "make demo"

images: $(VENV) ## Build the five images and load them into the cluster, where one runs
	$(STEP) "Images" $(PY) images/build.py --load
	$(NEXT) "make cluster, or make e2e"

crds: $(VENV) ## Write the CRDs and the API reference from crds/src/fathom_api
	$(STEP) "CRDs and API reference" $(PY) -m fathom_api.generate .
	$(NEXT) "commit what changed; 'kubectl apply -k crds/' installs them"

docs: crds ## Write the generated documentation and check every link
	$(STEP) "Chart reference" $(PY) scripts/chart_docs.py
	$(STEP) "Links" $(PY) scripts/links.py
	$(NEXT) "read docs/index.md"

cluster: $(VENV) ## Bring up the cluster: yours, kind, or one built here
	$(STEP) "Cluster" $(CLUSTER) up
	$(NEXT) "make images, then make demo; 'make cluster-down' takes it away"

cluster-down: $(VENV) ## Take the cluster away, without a trace
	$(STEP) "Cluster down" $(CLUSTER) down
	$(NEXT) "make cluster starts a clean one"

bench: $(VENV) ## Measure: captions per second, training steps per second, requests per second
	$(STEP) "Benchmarks" $(PY) -m benchmarks
	$(NEXT) "'python -m benchmarks --help' measures one thing, longer"

bench-backfill: $(VENV) ## Measure search while a gallery moves between models; writes docs/evidence (DATA=folder with omniglot_small)
	$(STEP) "Backfill" $(PY) -m benchmarks.backfill $(if $(DATA),--data $(DATA))
	$(NEXT) "read docs/evidence/backfill.md; an interrupted run goes on where it was"

bench-lift: $(VENV) ## Measure what captions give a ranker; writes docs/evidence (DATA=folder with movielens-posters)
	$(STEP) "Lift" $(PY) -m benchmarks.lift $(if $(DATA),--data $(DATA))
	$(NEXT) "read docs/evidence/lift.md; an interrupted run goes on where it was"

bench-serendipity: $(VENV) ## Measure what leading users to new interests gives; writes docs/evidence (DATA=folder with movielens-posters)
	$(STEP) "Serendipity" $(PY) -m benchmarks.serendipity $(if $(DATA),--data $(DATA))
	$(NEXT) "read docs/evidence/serendipity.md; an interrupted run goes on where it was"

lock: ## Write requirements.lock from the pyproject.toml files (UPGRADE=1 moves every version)
	$(STEP) "Lock" scripts/lock.sh $(if $(UPGRADE),--upgrade)
	$(NEXT) "make test, then commit requirements.lock"

venv: $(VENV) ## Make .venv, which every other target uses

$(VENV): requirements.lock crds/pyproject.toml operator/pyproject.toml workloads/pyproject.toml scripts/venv.sh scripts/lib.sh
	$(STEP) "Python environment (.venv)" scripts/venv.sh

clean: ## Remove what was built here; caches outside the checkout and clusters stay
	$(STEP) "Clean" rm -rf .venv build dist out .pytest_cache .ruff_cache
	$(NEXT) "make demo builds what it needs"
