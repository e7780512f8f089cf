#!/usr/bin/env bash
# Makes .venv from requirements.lock, with torch beside it and our three packages editable. Safe to run again and
# beside itself: a second caller waits for the first.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

# The one place that says which torch: images/ and this script read it.
torch_version=$(sed -n 's/^train = .*"torch==\([0-9.]*\)".*/\1/p' workloads/pyproject.toml)
wheels=${FATHOM_WHEELS:-../shared/wheels}

has_torch() {
  .venv/bin/python -c "import importlib.metadata as m; raise SystemExit(m.version('torch').split('+')[0] != '$torch_version')" 2>/dev/null
}

# add ARGUMENTS... - install outside the lock. Not from here: our pyproject.toml keeps uv from installing torch.
add() { (cd / && "$uv" pip install --quiet "$@"); }

install_torch() {
  local found="" requirement="torch==$torch_version"
  if has_torch; then return; fi
  if [ -d "$wheels" ]; then
    found=$(find "$(realpath "$wheels")" -name "torch-$torch_version+cpu-$(.venv/bin/python -c 'import sys; print("cp%d%d" % sys.version_info[:2])')-*.whl" | head -n 1)
  fi
  if [ -n "$found" ] && add --no-deps "$found"; then return; fi
  # A network without the CPU index answers late or never: one short try, then the package index.
  if UV_HTTP_TIMEOUT=20 add --no-deps --torch-backend=cpu "$requirement" 2>/dev/null; then return; fi
  echo "    no CPU build of torch within reach: taking the package index's, which brings 5 GB of CUDA libraries (FATHOM_WHEELS names a folder with a CPU wheel)"
  add "$requirement"
}

mkdir -p build
exec 9>build/venv.lock
flock 9

uv=$(uv_command)
follow_pip_configuration
export VIRTUAL_ENV=$PWD/.venv
venv_python=.venv/bin/python
if ! "$venv_python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; then
  "$uv" venv --quiet --clear --python "$(python_command)" .venv
fi
"$uv" pip install --quiet --require-hashes --requirement requirements.lock
install_torch
has_torch || fail "torch $torch_version was not installed"
"$uv" pip install --quiet --no-deps --no-build-isolation --editable crds --editable operator --editable workloads
touch .venv/.stamp
