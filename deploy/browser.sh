#!/bin/sh
# Makes sure that there is a Chromium for the tests and pictures of the pages. Quick when there is one.
set -eu

for candidate in "${BROWSER_PATH:-}" chromium chromium-browser google-chrome google-chrome-stable; do
    if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1; then
        exit 0
    fi
done
for application in "/Applications/Chromium.app" "/Applications/Google Chrome.app"; do
    [ -d "$application" ] && exit 0
done

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "matchday: installing Chromium for the tests of the pages (about 100 MB)"
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    if apt-get update -qq >"$log" 2>&1 && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core \
        fonts-noto-core >>"$log" 2>&1; then
        rm -f "$log"
        exit 0
    fi
    tail -5 "$log" >&2
    echo "matchday: Chromium could not be installed, see above" >&2
    exit 1
fi
echo "matchday: the tests of the pages need Chromium: install it, or name its program in BROWSER_PATH" >&2
exit 1
