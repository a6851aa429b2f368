#!/usr/bin/env bash
# Puts moto, an S3 server for tests, into an environment of its own, .tools/moto, by the hashes of requirements/moto.lock.
set -euo pipefail
cd "$(dirname "$0")/.."
lock=requirements/moto.lock folder=.tools/moto
cmp -s "$lock" "$folder/moto.lock" && exit 0
python3 -m venv --clear "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
cp "$lock" "$folder/moto.lock"
