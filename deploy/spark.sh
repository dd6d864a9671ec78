#!/bin/sh
# Puts Apache Spark into .venv, exactly as deploy/spark.lock has it: for tests and checks only, a site does without.
# Does nothing, quickly, when it is there.
set -eu
cd "$(dirname "$0")/.."
STAMP=.venv/installed-spark

wanted() {
    cksum <deploy/spark.lock
}

if [ -f "$STAMP" ] && [ "$(cat "$STAMP")" = "$(wanted)" ] && [ "$STAMP" -nt .venv/pyvenv.cfg ]; then
    exit 0
fi
echo "matchday: installing Apache Spark (about 430 MB the first time)"
.venv/bin/python -m pip install --disable-pip-version-check --no-input --progress-bar off --quiet \
    --require-hashes -r deploy/spark.lock || {
    echo "matchday: Spark could not be installed, see above; the same command again goes on from here" >&2
    exit 1
}
wanted >"$STAMP"
