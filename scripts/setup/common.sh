# Sourced by the other set-up scripts: where the project is, how they speak and how they become root.

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=$project/.cache
export PATH="$cache/node/bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin"

say() {
  printf 'setup: %s\n' "$*"
}

fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

# as_root PURPOSE COMMAND…: runs COMMAND as root, through sudo for an ordinary user.
as_root() {
  local purpose=$1
  shift
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo -p "[sudo] password for %p, to $purpose: " "$@"
  else
    fail "to $purpose, root is needed: run make as root, or install sudo"
  fi
}

# Two set-ups at once would fight over apt, node_modules and the daemons. Steps that setup.sh runs inherit its lock.
hold_setup_lock() {
  if [ "${VMR_SETUP_LOCKED:-}" = "$project" ]; then return; fi
  mkdir -p "$cache"
  exec 9>"$cache/setup.lock"
  if ! flock --nonblock 9; then
    say 'waiting for another set-up of this folder to end'
    flock 9
  fi
  export VMR_SETUP_LOCKED=$project
}
