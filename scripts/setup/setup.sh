#!/usr/bin/env bash
# Makes this machine ready to build, test and run vmr. With nothing to do it takes about a second.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
source "$here/common.sh"

hold_setup_lock
"$here/debian-packages.sh"
"$here/node.sh"
"$here/kvm-device.sh"
"$here/libvirt-daemons.sh"
