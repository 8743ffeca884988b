# Rookery, a Matrix homeserver. `make` alone lists what there is to do.

# Everything is built with this profile: `make run PROFILE=release` for a server that stays.
PROFILE ?= dev
TARGET := $(or $(CARGO_TARGET_DIR),target)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))

# Where rustup puts cargo, for shells that do not look there.
export PATH := $(HOME)/.cargo/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help run test bench fmt clean

help: ## List what there is to do.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1\t/' | expand -t 16

run: ## Build what is missing and start a server on http://localhost:8008, with its data in ./data.
	@scripts/need build
	@cargo build --locked --profile $(PROFILE) --package homeserver
	@exec $(TARGET)/homeserver serve --server-name localhost --data-dir data \
		--listen 127.0.0.1:8008 --open-registration

test: ## Check formatting and lints, then run every test, on both databases, with real clients and with Synapse.
	@scripts/need build test
	@scripts/test

bench: ## Measure a release build under load and print the table of the README.
	@scripts/need build
	@cargo build --locked --release --package homeserver --package tests
	@exec $(or $(CARGO_TARGET_DIR),target)/release/bench \
		--spawn $(or $(CARGO_TARGET_DIR),target)/release/homeserver $(BENCH)

fmt: ## Format the code.
	@cargo fmt --all

clean: ## Remove what was built and installed here; ./data stays.
	@cargo clean --quiet
	@rm -rf tests/clients/js/node_modules tests/clients/python/.venv tests/synapse/.venv
