#!/usr/bin/env bash
# Installs the Debian packages that vmr and its tests call, or those named as arguments.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if [ $# -gt 0 ]; then
  packages=("$@")
else
  packages=(
    # the hypervisor; virt-xml-validate of libvirt-clients needs xmllint of libxml2-utils
    libvirt-daemon-system libvirt-daemon-driver-qemu libvirt-clients libxml2-utils
    qemu-system-x86 qemu-utils
    # the network and what measures it
    iproute2 iputils-ping iperf iperf3 tcpdump ethtool nftables
    # the lab guest and its tests
    perl busybox-static openssh-client bsdutils
    # what every script here stands on
    procps kmod ca-certificates util-linux
  )
fi

system_id='' system_like='' system_name='this system'
if [ -r /etc/os-release ]; then
  system_id=$(. /etc/os-release && printf '%s' "${ID:-}")
  system_like=$(. /etc/os-release && printf '%s' "${ID_LIKE:-}")
  system_name=$(. /etc/os-release && printf '%s' "${PRETTY_NAME:-this system}")
fi
case " $system_id $system_like " in
  *' debian '* | *' ubuntu '*) ;;
  *) fail "$system_name is neither Debian nor Ubuntu: install what these Debian packages hold, by your system's names: ${packages[*]}; and Node.js 20.19 or later with npm" ;;
esac

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  if [ "$status" != installed ]; then missing+=("$package"); fi
done

# The lab guest is made of packages that apt downloads, so apt must know what the archive has even if nothing is missing here.
have_lists() {
  compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null
}

if [ ${#missing[@]} -eq 0 ] && have_lists; then exit 0; fi

apt() {
  as_root 'run apt-get' env DEBIAN_FRONTEND=noninteractive apt-get --quiet --quiet \
    -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@"
}

if [ ${#missing[@]} -gt 0 ]; then
  say "apt will install these Debian packages and what they depend on: ${missing[*]}"
fi
say "apt fetches the archive's package lists"
apt update || fail 'apt-get update failed: see its message above, mend the network or the sources of apt, and run make again'
if [ ${#missing[@]} -gt 0 ]; then
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  if ! apt install --yes --no-install-recommends "${missing[@]}" >"$log" 2>&1 </dev/null; then
    tail -n 40 "$log" >&2
    fail "apt-get could not install: ${missing[*]}; its last words are above"
  fi
fi
