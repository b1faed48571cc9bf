#!/usr/bin/env bash
# Installs what test/support/rgw.ts starts: Ceph's object gateway with one monitor and one in-memory OSD, from Debian's
# packages. Does nothing where it is installed already, and fails loudly where it cannot be.
set -euo pipefail

packages=(radosgw ceph-mon ceph-osd ceph-common)
programs=(radosgw radosgw-admin ceph-mon ceph-osd ceph monmaptool setpriv)

missing() {
  local program
  for program in "${programs[@]}"; do
    command -v "$program" >/dev/null || echo "$program"
  done
}

if [ -z "$(missing)" ]; then
  echo "install-rgw: installed already: $(radosgw --version)"
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "install-rgw: there is no apt-get here; install ${packages[*]} by hand" >&2
  exit 1
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo -n); fi
install() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
}

# Package lists may be missing or too old to name files that still exist, so a failed try is repeated with fresh ones.
if ! install; then
  echo "install-rgw: trying again with fresh package lists" >&2
  "${as_root[@]}" apt-get update
  install
fi

if [ -n "$(missing)" ]; then
  echo "install-rgw: still missing after the installation: $(missing | tr '\n' ' ')" >&2
  exit 1
fi
echo "install-rgw: installed $(radosgw --version)"
