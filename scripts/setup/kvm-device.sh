#!/usr/bin/env bash
# Lets libvirt's QEMU open /dev/kvm, as udev does on an ordinary machine. While the device is there but closed to the
# group kvm, libvirt 9.0 probes QEMU anew at every start of a domain: 64 s instead of 0.4 s, measured.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if [ ! -c /dev/kvm ] || ! getent group kvm >/dev/null; then exit 0; fi
group=$(stat --format=%G /dev/kvm)
mode=$(stat --format=%a /dev/kvm)
if [ "$group" = kvm ] && (((8#$mode & 8#060) == 8#060)); then exit 0; fi
say "/dev/kvm is of group $group with mode $mode: giving it to group kvm with mode 660"
as_root 'give /dev/kvm to group kvm' sh -c 'chgrp kvm /dev/kvm && chmod 660 /dev/kvm' ||
  fail '/dev/kvm cannot be given to group kvm: domains will start very slowly until it is'
