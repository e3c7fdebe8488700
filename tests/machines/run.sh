#!/usr/bin/env bash
# Ranks that mpirun starts give the bits of one: over shared memory, over TCP on the loopback, with
# other vector instructions on one of them, drafting, and many requests at once. A rank that is killed
# or stopped, or has another file, ends all with an error. Two servers behind nginx keep conversations.
# Builds the program with MPI, into target/release:
#
#   tests/machines/run.sh
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
models=$root/fixtures/models
work=$(mktemp -d)
started=()

fail() {
    printf 'machines: %s\n' "$1" >&2
    exit 1
}

cleanup() {
    for pid in "${started[@]}"; do
        kill "$pid" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

packages=()
{ command -v mpirun && command -v mpicc; } >/dev/null || packages+=(libopenmpi-dev openmpi-bin)
compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null || packages+=(libclang-dev)
command -v nginx >/dev/null || packages+=(nginx-light)
command -v ip >/dev/null || packages+=(iproute2)
command -v curl >/dev/null || packages+=(curl)
if ((${#packages[@]})); then
    [[ $(id -u) == 0 ]] || fail "missing: ${packages[*]} (Debian: apt-get install ${packages[*]})"
    { apt-get update -qq && apt-get install -qq -y --no-install-recommends "${packages[@]}"; } >/dev/null ||
        fail "${packages[*]} cannot be installed; is the network there?"
fi

cargo build --manifest-path "$root/Cargo.toml" --release --features mpi ||
    fail 'the program cannot be built with MPI'
program=${CARGO_TARGET_DIR:-$root/target}/release/sharpi-compile

# More ranks than processors, as root in a container too; nothing leaves this machine.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
mpi=(timeout 100 mpirun --oversubscribe --bind-to none)
memory=(--mca btl self,vader)
tcp=(--mca btl self,tcp --mca btl_tcp_if_include lo)

# What is told, and where its receipt goes: the model, the ids, and a hash of every row of logits.
told() {
    printf '%s\n' run -m "$1" -p 'KING RICHARD III:' -n "${3:-12}" -t 1 --temp 0.8 -s 1 -q --receipt "$2"
}

same() {
    cmp -s "$1" "$2" || fail "$3: other bits than on one rank"
}

printf 'machines: bits\n'
for model in "$models"/*.gguf; do
    name=$(basename "$model" .gguf)
    mapfile -t alone < <(told "$model" "$work/$name.json")
    "$program" "${alone[@]}" >/dev/null
    mapfile -t shared < <(told "$model" "$work/shared.json")
    for ranks in 1 2 3 4; do
        "${mpi[@]}" "${memory[@]}" -n "$ranks" "$program" "${shared[@]}" >/dev/null
        same "$work/$name.json" "$work/shared.json" "$name on $ranks ranks"
        rm "$work/shared.json"
    done
done
for model in "$models"/*.gguf; do
    name=$(basename "$model" .gguf)
    mapfile -t shared < <(told "$model" "$work/shared.json")
    for ranks in 2 3 4; do
        "${mpi[@]}" "${tcp[@]}" -n "$ranks" "$program" "${shared[@]}" --spec-type draft-mtp --spec-draft-n-max 3 >/dev/null
        same "$work/$name.json" "$work/shared.json" "$name drafting on $ranks ranks over TCP"
        rm "$work/shared.json"
    done
done
for name in tiny-dense-Q4_K_M tiny-moe-Q4_K_M; do
    mapfile -t shared < <(told "$models/$name.gguf" "$work/shared.json")
    "${mpi[@]}" "${memory[@]}" -n 1 "$program" "${shared[@]}" \
        : -n 1 -x SHARPI_SIMD=scalar "$program" : -n 1 -x SHARPI_SIMD=avx2 "$program" >/dev/null
    same "$work/$name.json" "$work/shared.json" "$name with three instruction sets"
    rm "$work/shared.json"
done
model=$models/tiny-dense-Q4_K_M.gguf
mapfile -t long < <(told "$model" "$work/shared.json" 100000)
long+=(-c 100100 --ignore-eos)

# Runs mpirun, whose ranks have to end with an error within so many seconds that says so.
fails() {
    local seconds=$1 said=$2 what=$3 start=$SECONDS
    shift 3
    if "$@" >"$work/out" 2>"$work/err"; then
        fail "$what: no error"
    fi
    ((SECONDS - start <= seconds)) || fail "$what: $((SECONDS - start)) s until the error"
    grep -q "$said" "$work/err" || fail "$what: no word of it in $(cat "$work/err")"
}

# Does something to a rank that has been at work for a second.
disturbed() {
    "${mpi[@]}" "${memory[@]}" -n 1 "$program" "${long[@]}" : -n 1 \
        bash -c 'echo $$ >"$1"; exec "$2"' rank "$work/pid" "$program" &
    local run=$! signal=$1
    until [[ -s $work/pid ]]; do sleep 0.1; done
    sleep 2
    kill "-$signal" "$(cat "$work/pid")"
    local code=0
    wait "$run" || code=$?
    kill -9 "$(cat "$work/pid")" 2>/dev/null || true
    rm "$work/pid"
    return "$code"
}

printf 'machines: failures\n'
fails 10 'rank 1' 'a rank that is killed' disturbed KILL
fails 40 'rank 1: on host .* has not answered' 'a rank that is stopped' disturbed STOP
mkdir "$work/here" "$work/there"
cp "$model" "$work/here/model.gguf"
cp "$model" "$work/there/model.gguf"
# One bit, far behind the header.
size=$(stat -c %s "$model")
printf '\x5a' | dd of="$work/there/model.gguf" bs=1 seek=$((size * 3 / 4)) conv=notrunc status=none
mapfile -t other < <(told model.gguf "$work/shared.json")
fails 10 'rank 1: its model file is another' 'another file on one rank' \
    "${mpi[@]}" "${memory[@]}" -n 1 -wdir "$work/here" "$program" "${other[@]}" \
    : -n 1 -wdir "$work/there" "$program"

# Answers of a server to four requests at once.
answers() {
    local port=$1 into=$2 i
    local asked=()
    for i in 1 2 3 4; do
        curl -s --retry 40 --retry-connrefused --retry-delay 1 "http://127.0.0.1:$port/completion" \
            -d "{\"prompt\": \"Scene $i.\", \"n_predict\": 24, \"ignore_eos\": true, \"temperature\": 0.8, \"seed\": $i, \"return_tokens\": true}" |
            grep -o '"tokens":\[[0-9][0-9,]*\]' >"$into.$i" &
        asked+=($!)
    done
    wait "${asked[@]}"
    for i in 1 2 3 4; do
        [[ -s $into.$i ]] || fail "no answer $i on port $port"
    done
    cat "$into".[1-4] >"$into"
}

printf 'machines: servers\n'
serving=(serve -m "$model" -t 1 -np 4 -c 256 --spec-type auto -q)
"$program" "${serving[@]}" --port 18311 &
started+=($!)
"${mpi[@]}" "${memory[@]}" -n 2 "$program" "${serving[@]}" --port 18312 &
started+=($!)
answers 18311 "$work/alone"
answers 18312 "$work/shared"
same "$work/alone" "$work/shared" 'four requests at once on two ranks'
"$root/tests/machines/replicas.sh" 18311 18312 || fail 'replicas behind nginx'
printf 'machines: hosts\n'
"$root/tests/machines/hosts.sh" "$program" || fail 'two hosts with a cable between them'
printf 'machines: all the same\n'
