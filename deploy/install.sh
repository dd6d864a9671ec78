#!/bin/sh
# Makes .venv with exactly the packages of requirements.lock. Does nothing, quickly, when it is up to date.
set -eu
# The server programs in .venv may be run by another user than the one who installs them.
umask 022
cd "$(dirname "$0")/.."
STAMP=.venv/installed

fail() {
    echo "matchday: $1" >&2
    exit 1
}

wanted() {
    cat requirements.lock pyproject.toml | cksum
}

is_suitable() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    for candidate in ${MATCHDAY_PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null 2>&1 && is_suitable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    found=$(python3 --version 2>&1) || found="no python3"
    fail "needs Python 3.11 or newer and found $found: install one, or name it in MATCHDAY_PYTHON"
}

if [ -f "$STAMP" ] && [ "$(cat "$STAMP")" = "$(wanted)" ] && .venv/bin/python -c '' 2>/dev/null; then
    exit 0
fi

if ! .venv/bin/python -c '' 2>/dev/null; then
    PYTHON=$(find_python)
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$PYTHON has no venv module: install it (Debian and Ubuntu: the package python3-venv)"
    echo "matchday: making .venv with $("$PYTHON" --version)"
    rm -rf .venv
    "$PYTHON" -m venv .venv || fail "$PYTHON cannot make .venv here, see above"
fi

rm -f "$STAMP"
TOTAL=$(grep -c '==' requirements.lock)
echo "matchday: installing the packages of requirements.lock (about 450 MB the first time)"
# pip says four lines a package; all of them are kept, and shown are the progress and what went wrong.
{
    .venv/bin/python -m pip install --disable-pip-version-check --no-input --progress-bar off \
        --require-hashes -r requirements.lock 2>&1 && touch "$STAMP.packages"
} | tee .venv/install.log | awk -v total="$TOTAL" '
    /^Collecting / { if (++n % 10 == 0) { print "matchday: " n " of about " total " packages"; fflush() } }
    /^Installing collected/ { print "matchday: unpacking"; fflush() }
    /^ERROR|^WARNING: Retrying|[Nn]o space left/ { print; fflush() }'
[ -f "$STAMP.packages" ] ||
    fail "not all packages could be installed, see .venv/install.log; the same command again goes on from here"
rm "$STAMP.packages"
.venv/bin/python -m pip install --disable-pip-version-check --no-input --quiet \
    --no-deps --no-build-isolation --editable . || fail "the project itself could not be installed, see above"
wanted >"$STAMP"
