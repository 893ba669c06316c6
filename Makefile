# The commands of this project. CI calls the same targets: see .ci/run.
.DEFAULT_GOAL := help
PYTHON := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
            $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin


.PHONY: help setup demo check client test conformance chaos bench bench-instructions system dev docs node

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## .venv with the command apex-rtm, from the lock file
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: apt install python3 python3-venv / dnf install python3.12"; exit 1; }
	@$(PYTHON) tools/bootstrap.py run

dev: setup
	@$(PYTHON) tools/bootstrap.py dev

node:
	@command -v npm >/dev/null || { echo "Node.js 18+ with npm is needed for the tests: apt install nodejs npm"; exit 1; }
	@test node_modules/.stamp -nt package-lock.json || { npm ci --no-progress --loglevel=error && touch node_modules/.stamp; }

.work:
	@mkdir -p .work

demo: setup .work ## the main job on this machine: open http://127.0.0.1:3000/demo
	@$(BIN)/apex-rtm serve --demo --data-dir .work/demo

check: dev .work ## format, types, layers, unit tests: under a minute
	@$(BIN)/ruff format --check . && $(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache >.work/layers.txt || { cat .work/layers.txt; exit 1; }
	@$(BIN)/python -m tools.settings_page --check
	@$(BIN)/python -m tools.cli_page --check
	@$(BIN)/python -m tools.deploy_files --check
	@$(BIN)/pytest -q -m "not slow" -n 2

system:
	@tools/system_packages.sh

client: node ## the browser client: types, style, tests
	@node_modules/.bin/tsc -p client-js
	@node_modules/.bin/eslint -c client-js/eslint.config.mjs client-js src/apex_rtm/demo src/apex_rtm/console
	@node --test client-js/test/*.test.mjs

test: system dev client check ## everything: real nginx, Chromium, Node, PostgreSQL, Redis: about ten minutes on two cores
	@$(BIN)/pytest -q -m slow -n 2 --dist loadfile

docs: dev .work ## the documentation as a site in .work/docs/site
	@$(BIN)/python -m tools.docs_site

chaos: dev ## the long runs with figures: cuts under kill -9, a reconnect storm, slow readers
	@$(BIN)/python -m tests.chaos cuts
	@$(BIN)/python -m tests.chaos storm
	@$(BIN)/python -m tests.chaos slow
	@$(BIN)/python -m tests.chaos nodes

conformance: dev ## Autobahn|Testsuite against the WebSocket edge; writes docs/conformance.md
	@$(BIN)/python -m tools.conformance

bench: dev ## cost of a delivery beside its peers, in turn: twenty minutes, writes docs/performance.md (Node.js and gcc)
	@$(BIN)/python -m bench

bench-instructions: dev ## instructions for each publish and delivery against those noted, by valgrind: three minutes
	@$(BIN)/python -m bench.instructions
