#!/usr/bin/env bash
# The page of `serve` and that of `dump-graph` in a real browser: run.sh PROGRAM. Gets the browser and the driver if they are
# missing. PAGE_SHOTS=DIR leaves pictures there, to be looked at.
set -euo pipefail
program=$(realpath "${1:?the program, such as target/release/sharpi-compile}")
cd "$(dirname "${BASH_SOURCE[0]}")"

missing() {
    printf 'the pages cannot be tested: %s\n' "$*" >&2
    exit 1
}

[[ -x $program ]] || missing "$program is no program; cargo build --release makes it"
command -v node npm >/dev/null || missing "node 20 or later and npm are needed (apt-get install nodejs npm)"
if [[ ! -x ${CHROMIUM:=/usr/bin/chromium} ]]; then
    sudo=()
    [[ $(id -u) == 0 ]] || sudo=(sudo -n)
    { "${sudo[@]}" apt-get update -qq &&
        "${sudo[@]}" apt-get install -y --no-install-recommends chromium; } >/dev/null ||
        missing "there is no chromium and apt-get cannot install it; CHROMIUM=FILE names one"
fi
if ! cmp -s package-lock.json node_modules/.installed; then
    npm ci --ignore-scripts --no-audit --no-fund >/dev/null ||
        missing "npm ci cannot get playwright-core"
    cp package-lock.json node_modules/.installed
fi
PROGRAM=$program CHROMIUM=$CHROMIUM exec node --test --test-concurrency=1 --test-reporter=spec
