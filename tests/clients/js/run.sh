#!/bin/sh
# Two people chat through the server at BASE_URL with matrix-js-sdk, which is installed here first.
#
# Usage: run.sh BASE_URL [TRANSPORT]
set -eu
cd "$(dirname "$0")"
# npm leaves this file behind when an installation is complete.
if ! [ node_modules/.package-lock.json -nt package-lock.json ]; then
    npm ci --ignore-scripts --loglevel=error >&2
fi
exec node chat.js "$@"
