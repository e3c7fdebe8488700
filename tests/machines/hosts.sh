#!/usr/bin/env bash
# Two hosts, each a network namespace, with a cable between them: ranks on both give the bits of one.
#
#   tests/machines/hosts.sh PROGRAM
set -euo pipefail
program=$(realpath "${1:?the program, built with --features mpi}")
work=$(mktemp -d)
a=sharpi-a-$$ b=sharpi-b-$$

cleanup() {
    ip netns del "$a" 2>/dev/null || true
    ip netns del "$b" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

if ! { command -v ip && ip netns add "$a" && ip netns add "$b"; } >/dev/null 2>&1; then
    printf 'hosts: skipped, this system lets nobody make network namespaces\n'
    exit 0
fi
ip link add "va$$" netns "$a" type veth peer name "vb$$" netns "$b"
ip -n "$a" addr add 10.99.0.1/24 dev "va$$"
ip -n "$b" addr add 10.99.0.2/24 dev "vb$$"
for host in "$a" "$b"; do
    ip -n "$host" link set lo up
done
ip -n "$a" link set "va$$" up
ip -n "$b" link set "vb$$" up

# What ssh would be: runs a command on a host.
cat >"$work/remote" <<END
#!/bin/sh
case \$1 in
10.99.0.1) host=$a ;;
10.99.0.2) host=$b ;;
*) exit 1 ;;
esac
shift
exec ip netns exec \$host sh -c "\$*"
END
chmod +x "$work/remote"
printf '10.99.0.1 slots=1\n10.99.0.2 slots=1\n' >"$work/hosts"

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
cable=(btl self,tcp --mca btl_tcp_if_include 10.99.0.0/24 --mca oob_tcp_if_include 10.99.0.0/24)
run=(run -p 'KING RICHARD III:' -n 16 --ignore-eos --temp 0.8 -s 7 -t 1 -q)
"$program" "${run[@]}" --receipt "$work/alone.json" >"$work/alone.txt"
for drafting in none draft-mtp; do
    timeout 100 ip netns exec "$a" mpirun --hostfile "$work/hosts" --bind-to none -n 2 \
        --mca plm_rsh_agent "$work/remote" --mca "${cable[@]}" \
        "$program" "${run[@]}" --spec-type "$drafting" --receipt "$work/both.json" >"$work/both.txt"
    cmp "$work/alone.txt" "$work/both.txt"
    cmp "$work/alone.json" "$work/both.json"
    rm "$work/both.json"
done
printf 'hosts: the same bits on two as on one\n'
