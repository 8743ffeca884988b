#!/bin/sh
# Two people chat through the server at BASE_URL with matrix-sdk, which is built here first: some
# minutes, the first time.
#
# Usage: run.sh BASE_URL
set -eu
cd "$(dirname "$0")"
exec cargo run --quiet --locked -- "$@"
