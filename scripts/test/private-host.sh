#!/usr/bin/env bash
# private-host.sh COMMAND…: runs COMMAND on a host of its own: own links, processes, libvirtd and state, on this kernel and
# this disk. All of it is gone with the command, also when that is killed; and what the command itself forgot to remove
# is named, and fails. Needs root, and the Debian packages of the set-up.
set -euo pipefail

if [ -z "${VMR_PRIVATE_HOST:-}" ]; then
  # Hosts at the same time each have a number of their own, for as long as they hold its lock.
  locks=$(dirname "${BASH_SOURCE[0]}")/../../.cache
  mkdir -p "$locks"
  for number in {0..15}; do
    exec {lock}>"$locks/private-host-$number.lock"
    if flock --nonblock "$lock"; then break; fi
    exec {lock}>&-
  done
  export VMR_PRIVATE_HOST_NUMBER=$number
  # No signal reaches what is inside when the caller is killed with SIGKILL, but the kernel's own.
  VMR_PRIVATE_HOST=1 exec setpriv --pdeathsig KILL -- \
    unshare --mount --net --pid --fork --kill-child --mount-proc -- "$0" "$@"
fi

# empty DIRECTORY: an empty one of our own over the machine's.
empty() {
  mkdir -p "$1"
  mount -t tmpfs -o mode=755 tmpfs "$1"
}

# copied DIRECTORY: a copy of our own over the machine's.
copied() {
  local original
  original=$(mktemp -d)
  cp -a "$1/." "$original"
  empty "$1"
  cp -a "$original/." "$1"
  rm -rf "$original"
}

mount --make-rprivate /
qemu_user=$(stat --format %u:%g /var/lib/libvirt/qemu)
# The machine's /sys shows the machine's links; and libvirt cannot put guests into control groups of another host.
umount --recursive --lazy /sys
mount -t sysfs sysfs /sys
empty /run
mkdir -p /run/lock /run/netns /run/libvirt
empty /var/lib/vmr
empty /var/lib/libvirt
install -d /var/lib/libvirt/{boot,dnsmasq,images,network,qemu}
chown "$qemu_user" /var/lib/libvirt/qemu
empty /var/log/libvirt
install -d /var/log/libvirt/qemu
# What QEMU can do costs a second to find out, and stays the same.
copied /var/cache/libvirt
copied /etc/libvirt
find /etc/libvirt/qemu -name '*.xml' -delete

# A macvtap is reached by /dev/tapN, N being the number of its link, and the kernel has one /dev for all hosts: two
# macvtaps of the same number, and the guest of one would talk through the other. So each host counts from elsewhere.
count_links_from() {
  local pair
  for ((pair = 0; pair < $1 / 2; pair++)); do
    echo "link add name skip$pair group 77 type veth peer name skipped$pair"
  done | ip -batch -
  [ "$1" -eq 0 ] || ip link delete group 77
}
count_links_from $((VMR_PRIVATE_HOST_NUMBER * 500))

ip link set lo up
virtlogd --daemon </dev/null
libvirtd --daemon </dev/null
timeout 60 virsh --quiet --connect qemu:///system uri >/dev/null || {
  echo 'private-host.sh: its libvirtd does not answer' >&2
  exit 1
}

# What there is of the kinds of things that tests make. Some modules of the kernel bring a link of their own when loaded.
inventory() {
  # A daemon that a test killed answers no more, and has no domain to leave behind either.
  timeout 10 virsh --quiet --connect qemu:///system list --all --name 2>/dev/null | sed '/^$/d; s/^/domain /' || true
  ip netns list | sed 's/ .*//; s/^/namespace /'
  ip -oneline link | sed -E 's/^[0-9]+: ([^:@]+).*/\1/' |
    grep -vxE '(tunl|sit|gre|gretap|erspan|ip6tnl|ip6gre|ip_vti|ip6_vti)0' | sed 's/^/link /'
  # What was said on consoles is kept on purpose.
  find /var/lib/vmr -path /var/lib/vmr/consoles -prune -o -type f -print | sed 's/^/file /'
  local process
  for process in /proc/[0-9]*; do
    case $(cat "$process/comm" 2>/dev/null) in
      qemu-* | iperf* | tcpdump | ping | dnsmasq) echo "process $(tr '\0' ' ' <"$process/cmdline" | cut -c -120)" ;;
    esac
  done
}

before=$(mktemp)
inventory >"$before"
status=0
"$@" || status=$?
left=$(inventory | grep -vxFf "$before" || true)
rm -f "$before"
if [ -n "$left" ]; then
  printf 'left behind: %s\n' "$(paste -sd, <<<"$left")" >&2
  [ "$status" -ne 0 ] || status=1
fi
exit "$status"
