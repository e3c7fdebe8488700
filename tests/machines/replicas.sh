#!/usr/bin/env bash
# The example of two servers behind nginx: a conversation stays on its server, both are used, and
# answers are those that each server gives by itself. The servers listen on the loopback:
#
#   tests/machines/replicas.sh PORT PORT
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
first=${1:?the port of a server} second=${2:?the port of another}
port=18310
work=$(mktemp -d)

fail() {
    printf 'replicas: %s\n' "$1" >&2
    exit 1
}

{
    printf 'daemon off; pid %s/pid; error_log %s/error;\n' "$work" "$work"
    # Started by root, it would run its workers as another user.
    [[ $(id -u) != 0 ]] || printf 'user root;\n'
    printf 'events {}\nhttp {\n'
    for kind in client_body proxy fastcgi uwsgi scgi; do
        printf '%s_temp_path %s/%s;\n' "$kind" "$work" "$kind"
    done
    printf "log_format way '\$http_x_conversation \$upstream_addr';\naccess_log %s/access way;\n" "$work"
    sed -e "s/127.0.0.1:8081/127.0.0.1:$first/; s/127.0.0.1:8082/127.0.0.1:$second/" \
        -e "s/listen 8080/listen 127.0.0.1:$port/" "$root/examples/replicas/nginx.conf"
    printf '}\n'
} >"$work/nginx.conf"
nginx -c "$work/nginx.conf" &
nginx=$!
trap 'kill $nginx; wait $nginx || true; rm -rf "$work"' EXIT

# The tokens of an answer in a conversation.
answer() {
    curl -s --retry 20 --retry-connrefused --retry-delay 1 "http://127.0.0.1:$1/completion" \
        -H "X-Conversation: $2" \
        -d "{\"prompt\": \"Scene $2. ROMEO:\", \"n_predict\": 8, \"ignore_eos\": true, \"temperature\": 0, \"return_tokens\": true}" |
        grep -o '"tokens":\[[0-9][0-9,]*\]'
}

for conversation in {1..12}; do
    answers=$(for at in $port $port $first $second; do answer $at "$conversation"; done | sort -u)
    [[ $(wc -l <<<"$answers") == 1 && -n $answers ]] ||
        fail "conversation $conversation has other answers: $answers"
done
ways=$(sort -u "$work/access")
[[ $(wc -l <"$work/access") == 24 ]] || fail "not all requests are logged: $(cat "$work/access")"
[[ $(wc -l <<<"$ways") == 12 ]] || fail "a conversation did not stay on its server: $ways"
for used in "$first" "$second"; do
    grep -q ":$used\$" <<<"$ways" || fail "no conversation is on port $used: $ways"
done
