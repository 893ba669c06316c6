#!/bin/sh
# Installs this checkout beside the versions that are there and makes it the current one. Nothing is restarted.
#
#   sudo deploy/install.sh           install, or upgrade
#   sudo deploy/install.sh --back    the version before is current again
#
# PREFIX and PYTHON may be set; they are /opt/apex-rtm and python3.12 otherwise. The charts of the console come from npm;
# without it everything else works, and running this once more adds them.
set -eu
umask 022
here=$(cd "$(dirname "$0")/.." && pwd)
prefix=${PREFIX:-/opt/apex-rtm}
python=${PYTHON:-python3.12}

# Exchanges a link in one step: a service that starts at this moment finds the old version or the new one.
point() { # point NAME TARGET
  ln -s "$2" "$prefix/.$1.$$" && mv -T "$prefix/.$1.$$" "$prefix/$1"
}

if [ "${1:-}" = --back ]; then
  [ -L "$prefix/previous" ] || { echo "There is no version before this one in $prefix." >&2; exit 1; }
  now=$(readlink "$prefix/current") before=$(readlink "$prefix/previous")
  point current "$before"
  point previous "$now"
  echo "Current is $before again; now: systemctl restart apex-rtm"
  exit 0
fi

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
  echo "$python is not here, or older than 3.11: dnf install python3.12, or set PYTHON." >&2
  exit 1
}
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$here/src/apex_rtm/__init__.py")
# The checkout may be another user's, and git tells root nothing about it unless it is told to.
commit=$(git -c safe.directory="$here" -C "$here" rev-parse --short HEAD 2>/dev/null || date +%Y%m%d%H%M%S)
name=$version-$commit
target=$prefix/$name

# The version that package-lock.json pins, by its hash, and no script of a package is run. What is there already stays: in
# a checkout where somebody works, npm would take the development tools away.
wanted=$(sed -n 's/.*"uplot": "\(.*\)".*/\1/p' "$here/package.json")
uplot=$here/node_modules/uplot
has_charts() { grep -qs "\"version\": \"$wanted\"" "$uplot/package.json"; }
if ! has_charts && command -v npm >/dev/null 2>&1; then
  (cd "$here" && npm ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null) || true
fi

if [ ! -x "$target/bin/apex-rtm" ]; then
  mkdir -p "$prefix"
  rm -rf "$target"
  trap 'rm -rf "$target"' EXIT
  "$python" -m venv "$target"
  pip="$target/bin/python -m pip install --quiet --disable-pip-version-check"
  # Every package as it was when the tests passed, by its hash.
  $pip --require-hashes -r "$here/requirements/run.txt"
  $pip --no-deps --no-build-isolation "$here"
  "$target/bin/apex-rtm" --version >/dev/null
  trap - EXIT
fi

# A version that was installed before npm was there gets them now.
missing=
for console in "$target"/lib/python*/site-packages/apex_rtm/console; do
  if [ -d "$console" ] && [ ! -e "$console/charts" ] && has_charts; then
    mkdir "$console/charts"
    cp "$uplot/dist/uPlot.iife.min.js" "$uplot/dist/uPlot.min.css" "$uplot/LICENSE" "$console/charts/"
  fi
  [ -e "$console/charts" ] || missing=yes
done

# Under SELinux systemd may run programs only from directories that are labelled for it.
if command -v restorecon >/dev/null 2>&1; then restorecon -R "$prefix"; fi

if [ -L "$prefix/current" ] && [ "$(readlink "$prefix/current")" != "$name" ]; then
  point previous "$(readlink "$prefix/current")"
fi
point current "$name"
echo "Current is $name in $prefix."
if [ -n "$missing" ]; then
  if command -v npm >/dev/null 2>&1; then mend="see what npm says above"; else mend="dnf install nodejs npm"; fi
  echo "The console has tables instead of charts: $mend, then run this again and restart."
fi
if [ -e "/etc/systemd/system/apex-rtm.service" ]; then
  echo "Next: 'deploy all' with the arguments of the first time, then: systemctl daemon-reload && systemctl restart apex-rtm"
else
  echo "Next: $prefix/current/bin/apex-rtm deploy all --domain rtm.example.com --origin https://apex.example.com"
fi
