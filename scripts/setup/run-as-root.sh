#!/usr/bin/env bash
# run-as-root.sh PURPOSE COMMAND…: runs COMMAND as root with this environment and this Node.js, and gives what it wrote
# into the project back to the user who called.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

purpose=$1
shift
if [ "$(id -u)" -eq 0 ]; then exec "$@"; fi
if ! command -v sudo >/dev/null; then fail "to $purpose, root is needed: run make as root, or install sudo"; fi

say "sudo is used to $purpose"
status=0
sudo -E -p "[sudo] password for %p, to $purpose: " env "PATH=$PATH" "$@" || status=$?
for folder in results coverage .cache; do
  if [ -e "$project/$folder" ]; then sudo chown -R "$(id -u):$(id -g)" "$project/$folder"; fi
done
exit "$status"
