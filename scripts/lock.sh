#!/usr/bin/env bash
# Writes requirements.lock from the pyproject.toml files, keeping the versions it already has (--upgrade moves them).
# With --check it writes nothing and fails when the lock does not fit the pyproject.toml files any more.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

uv=$(uv_command)
follow_pip_configuration
options=(--universal --group dev --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet)
for package in fathom-api fathom-operator fathom-workloads; do options+=(--no-emit-package "$package"); done

if [ "${1:-}" != --check ]; then
  "$uv" pip compile "${options[@]}" "$@" --output-file requirements.lock
  exit
fi

trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT
cp requirements.lock "$trial/requirements.lock"
if ! "$uv" pip compile "${options[@]}" --output-file "$trial/requirements.lock" 2>"$trial/errors"; then
  if ! grep -qE 'Failed to fetch|error sending request|dns error|client error' "$trial/errors"; then
    cat "$trial/errors" >&2
    exit 1
  fi
  echo "    not checked: no package index answers"
  exit
fi
diff -u requirements.lock "$trial/requirements.lock" >&2 || fail "requirements.lock does not fit the pyproject.toml files: run 'make lock' and commit the result"
