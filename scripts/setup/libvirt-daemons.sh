#!/usr/bin/env bash
# Sees to it that qemu:///system answers. Where systemd runs the daemons they stay systemd's.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

start_with_systemd() {
  # Modular daemons (virtqemud) replace libvirtd where somebody chose them.
  if systemctl is-active --quiet libvirtd.socket || systemctl is-active --quiet virtqemud.socket; then return; fi
  say 'systemd starts libvirtd and virtlogd, now and at every boot'
  as_root 'start libvirtd' systemctl enable --now virtlogd.socket libvirtd.socket ||
    fail 'systemd could not start libvirtd: see systemctl status libvirtd.socket'
}

# runs DAEMON: whether the process that its pid file names is still that daemon.
runs() {
  local pid
  pid=$(cat "/run/$1.pid" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ]
}

start_by_hand() {
  local daemon
  for daemon in virtlogd libvirtd; do
    if runs "$daemon"; then continue; fi
    say "no systemd here: starting $daemon"
    # The daemon must not hold the lock of this set-up for as long as it lives.
    as_root "start $daemon" "$daemon" --daemon 9>&- </dev/null ||
      fail "$daemon did not start: run '$daemon' in a terminal to see why"
  done
}

if [ -d /run/systemd/system ]; then
  start_with_systemd
else
  start_by_hand
fi
# The daemon takes the connection once its drivers are up, so a connection that works is the end of the wait.
as_root 'ask libvirtd whether it answers' timeout 60 virsh --quiet --connect qemu:///system uri >/dev/null ||
  fail 'libvirtd does not answer at qemu:///system within 60 s: see its log (journalctl -u libvirtd, or run libvirtd in a terminal)'
