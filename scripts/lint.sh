#!/usr/bin/env bash
# Every static check. All of them run, so that one call shows everything that is wrong.
set -uo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH" PYTHONPATH=tests:examples
failed=()

check() {
  local label=$1
  shift
  scripts/step.sh "Lint: $label" "$@" || failed+=("$label")
}

check "style" ruff check --quiet .
check "formatting" ruff format --check --quiet .
check "types" pyright --warnings
check "YAML" yamllint --strict .
check "Containerfiles" hadolint images/Containerfile
check "generated files" python -m fathom_api.generate . --check
check "lock file" scripts/lock.sh --check
check "chart and manifests" python scripts/manifests.py
check "chart reference" python scripts/chart_docs.py --check
check "bad input reference" python scripts/bad_input.py --check
check "links in the documentation" python scripts/links.py

if [ ${#failed[@]} -gt 0 ]; then
  printf 'lint failed: %s\n' "${failed[@]}" >&2
  exit 1
fi
