#!/bin/sh
# Installs Synapse here, from pinned versions, where that has not been done yet. What pip says goes to stderr.
set -eu
cd "$(dirname "$0")"
if ! cmp -s requirements.txt .venv/installed.txt; then
    rm -rf .venv
    python3 -m venv .venv >&2
    .venv/bin/pip install --quiet --disable-pip-version-check --only-binary :all: --requirement requirements.txt >&2
    cp requirements.txt .venv/installed.txt
fi
