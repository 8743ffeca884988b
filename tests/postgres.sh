#!/usr/bin/env bash
# Runs a command beside a throw-away PostgreSQL, which TEST_POSTGRES_URL names to it.
# Its data is in a temporary directory and goes away with it. If TEST_POSTGRES_URL is set already,
# that server is used and nothing is started.
#
# Usage: postgres.sh COMMAND [ARGUMENT…]
set -euo pipefail

[ -z "${TEST_POSTGRES_URL:-}" ] || exec "$@"

# Distributions keep the server's programs off the path; of several versions, the newest.
programs=$(dirname "$(command -v initdb || printf '%s\n' /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1)")
if ! [ -x "$programs/initdb" ]; then
    echo "PostgreSQL's server is not installed (package postgresql)" >&2
    exit 1
fi

dir=$(mktemp -d)
# PostgreSQL refuses to run as root.
as=()
if [ "$(id -u)" = 0 ]; then
    owner=$(id -un postgres 2>/dev/null || echo nobody)
    chown "$owner" "$dir"
    as=(setpriv --reuid "$owner" --regid "$(id -g "$owner")" --clear-groups --)
fi

finish() {
    # Without waiting for anybody: nothing here is kept.
    (cd / && "${as[@]}" "$programs/pg_ctl" --pgdata "$dir/data" --mode immediate --silent stop) >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap finish EXIT

# A port that is free now. It stays so in all likelihood; else the start fails with words.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

(
    cd /
    "${as[@]}" "$programs/initdb" --pgdata "$dir/data" --username rookery --auth trust --encoding UTF8 \
        --no-locale --no-sync >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; exit 1; }
    # What a commit costs is no subject of the tests; how many connect at once is.
    "${as[@]}" "$programs/pg_ctl" --pgdata "$dir/data" --log "$dir/data/server.log" --silent --wait start \
        --options "-c listen_addresses=127.0.0.1 -p $port -c unix_socket_directories= -c max_connections=500 \
                   -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c shared_buffers=64MB" ||
        { cat "$dir/data/server.log" >&2; exit 1; }
)

export TEST_POSTGRES_URL="postgres://rookery@127.0.0.1:$port/postgres"
"$@"
