#!/bin/sh
# What the tests use beside Python: installed where that is possible without asking, named in one line otherwise.
set -eu
missing=""
need() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing="$missing $2"; }
need chromium chromium
need nginx nginx
need node nodejs
need npm npm
need openssl openssl
[ -x /usr/bin/valkey-server ] || need redis-server redis-server
[ -d /usr/lib/postgresql ] || need postgres postgresql
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "Installing$missing ..."
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >/dev/null
  # shellcheck disable=SC2086 -- the list is meant to be split
  apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
  echo "The tests need:$missing. Debian: sudo apt install$missing. Oracle Linux: the same names by dnf, chromium from EPEL." >&2
  exit 1
fi
