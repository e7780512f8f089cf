# shellcheck shell=bash
# What the other scripts share: uv, wherever it comes from, and the environment it runs in.

# fail WHAT... - say it and stop.
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# python_command - print a Python 3.11 or 3.12 that runs; $PYTHON names one.
python_command() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3; do
    # A pyenv shim exists for versions that are not switched on, so running it is the only test.
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  fail "no Python 3.11 or 3.12 found: install one (Debian: apt-get install python3) or name it, PYTHON=/path/to/python3.12"
}

# uv_command - print uv's path, installing it below build/ where the machine has none.
uv_command() {
  local private=build/uv python
  if command -v uv >/dev/null && uv --version >/dev/null 2>&1; then
    command -v uv
    return
  fi
  if [ ! -x "$private/bin/uv" ]; then
    python=$(python_command)
    # --target also works where the system's Python is marked externally managed.
    "$python" -m pip install --quiet --target "$private" uv >&2 ||
      fail "uv could not be installed with '$python -m pip': install pip (Debian: apt-get install python3-pip) or uv"
  fi
  echo "$PWD/$private/bin/uv"
}

# uv reads neither pip's configuration nor, unasked, the machine's certificates.
follow_pip_configuration() {
  local index
  export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true}
  index=$(python3 -m pip config get global.index-url 2>/dev/null || true)
  if [ -n "$index" ] && [ -z "${UV_DEFAULT_INDEX:-}" ]; then export UV_DEFAULT_INDEX=$index; fi
}
