#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A way out for a network namespace: a pair of links, and this host's address for what comes from there.
#
#   network.sh up TAG SUBNET PID     SUBNET: the first of four addresses
#   network.sh down TAG SUBNET       the links go with their namespace
set -euo pipefail
tag=$2
subnet=$3
network=${subnet%.*}.
ours=$network$((${subnet##*.} + 1))
theirs=$network$((${subnet##*.} + 2))

rules() {
  iptables -w -t nat "$1" POSTROUTING -s "$subnet/30" ! -d "$subnet/30" -j MASQUERADE
  iptables -w "$2" FORWARD -s "$subnet/30" -j ACCEPT
  iptables -w "$2" FORWARD -d "$subnet/30" -j ACCEPT
}

case $1 in
  up)
    ip link add "fresh$tag" type veth peer name eth0 netns "$4"
    ip address add "$ours/30" dev "fresh$tag"
    ip link set "fresh$tag" up
    nsenter -t "$4" -n sh -c "
      ip link set lo up
      ip address add $theirs/30 dev eth0
      ip link set eth0 up
      ip route add default via $ours"
    rules -A -I
    # Left on: somebody else may have come to need it meanwhile.
    if [ "$(cat /proc/sys/net/ipv4/ip_forward)" = 0 ]; then
      echo "fresh-machine: turning on IPv4 forwarding on this host" >&2
      echo 1 >/proc/sys/net/ipv4/ip_forward
    fi
    ;;
  down)
    rules -D -D 2>/dev/null || true
    ip link delete "fresh$tag" 2>/dev/null || true
    ;;
esac
