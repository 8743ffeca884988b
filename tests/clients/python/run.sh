#!/bin/sh
# Two people chat through the server at BASE_URL with matrix-nio, which is installed here first.
#
# Usage: run.sh BASE_URL
set -eu
cd "$(dirname "$0")"
if ! cmp -s requirements.txt .venv/installed.txt; then
    rm -rf .venv
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements.txt >&2
    cp requirements.txt .venv/installed.txt
fi
exec .venv/bin/python -B chat.py "$@"
