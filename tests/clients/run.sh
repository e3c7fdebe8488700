#!/usr/bin/env bash
# The client packages of OpenAI and Anthropic, in the versions of requirements.txt, against a server:
#
#   tests/clients/run.sh target/release/sharpi-compile
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=${1:?the program to test, for one target/release/sharpi-compile}
SHARPI_COMPILE=$(realpath "$program")
export SHARPI_COMPILE

fail() {
    printf 'the clients cannot be tested: %s\n' "$1" >&2
    exit 1
}

[[ -x $SHARPI_COMPILE ]] || fail "$program is no program; cargo build --release makes it"
command -v python3 >/dev/null || fail 'there is no python3'
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail 'python3 is older than 3.11'

# One environment for each list of packages: a new list makes a new one.
sum=$(sha256sum "$here/requirements.txt")
venv=${CARGO_TARGET_DIR:-$here/../../target}/clients/${sum:0:16}
if [[ ! -e $venv/complete ]]; then
    rm -rf "$venv"
    python3 -m venv "$venv" || fail 'python3 has no venv (Debian: apt-get install python3-venv)'
    "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes \
        -r "$here/requirements.txt" || fail 'the packages cannot be installed; is the network there?'
    touch "$venv/complete"
fi
cd "$here"
exec "$venv/bin/python" -m pytest -q -p no:cacheprovider "${@:2}"
