#!/bin/sh
# Write requirements/*.txt anew for every supported Python: versions and hashes, no address of any index.
set -eu
cd "$(dirname "$0")/.."
uv="uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url
    --no-emit-find-links --no-header --no-annotate"
printf 'hatchling\neditables\n' | $uv pyproject.toml - --extra demo --extra metrics "$@" -o requirements/run.txt
printf 'hatchling\neditables\n' | $uv pyproject.toml - --all-extras --group dev -c requirements/run.txt "$@" -o requirements/dev.txt
