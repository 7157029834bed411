#!/usr/bin/env bash
# Installs what the tests alone need: what signs images and makes one that boots, and a browser to open reports in. Ubuntu
# has no browser as a package (its chromium is a snap that runs under systemd only), and the test is left out there.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
source "$here/common.sh"

hold_setup_lock
"$here/debian-packages.sh" minisign gnupg xorriso isolinux syslinux-common
if [ "$(. /etc/os-release && printf '%s' "${ID:-}")" = debian ]; then "$here/debian-packages.sh" chromium; fi
