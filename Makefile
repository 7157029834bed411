SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

# scripts/setup/node.sh puts a Node.js there on a machine that has none or too old a one.
export PATH := $(CURDIR)/.cache/node/bin:$(PATH)

# Folders count too: their time changes when a file in them is removed.
sources := $(shell find src) $(wildcard scripts/*.ts) package-lock.json tsconfig.json
as_root := scripts/setup/run-as-root.sh

.PHONY: help setup test-setup toolchain build test test-vyos demo coverage lint format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: ## Install what is missing: Debian packages, Node.js, npm packages; start libvirt
	@scripts/setup/setup.sh

test-setup: setup
	@scripts/setup/test-packages.sh

toolchain:
	@scripts/setup/node.sh

build: toolchain dist/cli.js ## Build dist/cli.js

dist/cli.js: $(sources)
	@flock .cache/build.lock npm run --silent build
	@touch $@

demo: setup build ## Measure bridge, macvtap and macvtap-trust with IPv4 and IPv6 on the embedded lab
	@scripts/setup/demo.sh

test: setup test-setup build ## Run every test, or the files in TESTS
	@$(as_root) 'test real links, namespaces and VMs' \
		node --import tsx scripts/test/run-tests.ts $(TESTS)

test-vyos: setup test-setup build ## Run the contract tests against a real VyOS: VMR_TEST_VYOS_IMAGE=FILE, an ISO or a qcow2
	@test -f "$(VMR_TEST_VYOS_IMAGE)" || { echo 'make test-vyos: VMR_TEST_VYOS_IMAGE must name an installer ISO of VyOS or a qcow2 disk' >&2; exit 2; }
	@$(as_root) 'run VMs' scripts/test/private-host.sh node --import tsx node_modules/mocha/lib/cli/cli.js \
		--no-config --extension ts --forbid-only test/lab/contract/vyos.test.ts

coverage: setup test-setup build ## Run every test, or the files in TESTS, and report in coverage/ what they cover
	@$(as_root) 'test real links, namespaces and VMs' \
		node node_modules/c8/bin/c8.js node --import tsx scripts/test/run-tests.ts $(TESTS)

lint: toolchain ## Check format, style, types and unused code
	@npm run --silent lint

format: toolchain ## Format every file
	@npm run --silent format

clean: ## Remove what the build and coverage made
	@rm -rf dist coverage
