#!/usr/bin/env bash
# Makes the small models of the architectures beside qwen35, and writes what llama.cpp does with them
# into fixtures/golden: micro-NAME.json and micro-NAME-Q8_0.json, captures in F32 and Q8_0, and
# micro-NAME.tensors.json and micro-NAME-Q8_0.tensors.json, the tensors of a short run; for one also
# micro-NAME-cache.json, captures with caches in blocks. Names as arguments choose among them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
plain=(llama mixtral qwen2 qwen3 qwen3moe smollm3)
drafting=(glm4moe qwen3next qwen4exp)
wanted=${*:-${plain[*]} ${drafting[*]}}

for name in $wanted; do
    model=$work/micro-$name.gguf
    golden=fixtures/golden/micro-$name
    widths=0 round=0
    if [[ " ${drafting[*]} " == *" $name "* ]]; then
        widths=0,1,2,3 round=2
    fi
    cargo run -q --release -- synth --preset "micro-$name" -o "$model"
    capture() {
        cargo reference capture -m "$1" --prompts fixtures/families.prompts.json -n 64 \
            --draft-max "$widths" --ignore-eos -o "$2"
    }
    capture "$model" "$golden.json"
    cargo reference quantize -m "$model" --types Q8_0 -o "$work/Q8_0.gguf"
    capture "$work/Q8_0.gguf" "$golden-Q8_0.json"
    dump() {
        cargo reference dump -m "$1" -p 'a t b ta' --draft-max "$round" -o "$2"
    }
    dump "$model" "$golden.tensors.json"
    dump "$work/Q8_0.gguf" "$golden-Q8_0.tensors.json"
    # The keys of an indexer have a cache of their own.
    if [[ $name == qwen4exp ]]; then
        cargo reference capture -m "$model" --prompts fixtures/families.prompts.json -n 64 \
            --draft-max "$widths" --cache-type q8_0,q4_0 --ignore-eos -o "$golden-cache.json"
    fi
    # As older converters wrote it llama.cpp does the same with it.
    if [[ $name == qwen3next ]]; then
        cargo reference join -m "$model" -o "$work/joint.gguf"
        capture "$work/joint.gguf" "$work/joint.json"
        cmp "$work/joint.json" "$golden.json"
        dump "$work/joint.gguf" "$golden-joint.tensors.json"
    fi
done

[[ $# -eq 0 ]] || exit 0
# Of the two whose models are in fixtures, what is there of them in Q8_0 alone.
for name in dense moe; do
    golden=fixtures/golden/micro-$name-Q8_0
    cargo reference quantize -m "fixtures/models/micro-$name-f32.gguf" --types Q8_0 \
        -o "$work/Q8_0.gguf"
    cargo reference dump -m "$work/Q8_0.gguf" -p 'a t b ta' --draft-max 2 -o "$golden.tensors.json"
    if [[ $name == moe ]]; then
        cargo reference capture -m "$work/Q8_0.gguf" --prompts fixtures/families.prompts.json -n 64 \
            --draft-max 0,1,2,3 --ignore-eos -o "$golden.json"
    fi
done
