#!/bin/sh
# Runs inside the image's build, with its context mounted at /run/context; leaves nothing but /opt/fathom.
#   install.sh torch BACKEND             an environment with torch and what all workloads need
#   install.sh dependencies PACKAGE [EXTRA]  what PACKAGE needs, in the locked versions
#   install.sh shard                     what divides tables among processes, with kernels for this build of torch
#   install.sh packages PACKAGE          our own code
set -eu
context=/run/context
uv=$context/uv
export UV_CACHE_DIR=/run/uv UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never
# Secrets: present only where the network has an index or a certificate authority of its own.
if [ -s /run/secrets/uv.toml ]; then export UV_CONFIG_FILE=/run/secrets/uv.toml; fi
if [ -s /run/secrets/ca.crt ]; then export SSL_CERT_FILE=/run/secrets/ca.crt; fi

environment() {
  [ -x /opt/fathom/bin/python ] || "$uv" venv --quiet --allow-existing --python "$(command -v python3)" /opt/fathom
}

# slim - what Python packages bring and nobody runs.
slim() {
  site=$(echo /opt/fathom/lib/python3.*/site-packages)
  rm -rf "$site/torch/include" "$site/torch/test" "$site/torch/share" "$site/pyarrow/include" "$site/pyarrow/tests"
  find "$site/torch/bin" -type f ! -name torch_shm_manager -delete 2>/dev/null || true
  # pyre_extensions imports its own.
  find "$site" -depth -type d -name tests -path '*/site-packages/*/tests' ! -path '*/pyre_extensions/*' -exec rm -rf {} +
  find "$site" \( -name '*.pyx' -o -name '*.pxd' -o -name '*.a' \) -delete
}

install() {
  "$uv" pip install --quiet --no-sources --excludes "$context/excludes.txt" --constraint "$context/requirements.lock" "$@"
}

case $1 in
  torch)
    environment
    wheel=$(find "$context/wheels" -name "torch-*.whl" 2>/dev/null | head -n 1)
    if [ -n "$wheel" ]; then
      "$uv" pip install --quiet --no-deps "$wheel"
    elif ! UV_HTTP_TIMEOUT=20 "$uv" pip install --quiet --torch-backend="$2" "$(cat "$context/torch.txt")"; then
      [ "$2" = cpu ] || exit 1
      echo "no CPU build of torch within reach: taking the package index's, 5 GB (FATHOM_WHEELS names a folder with one)" >&2
      "$uv" pip install --quiet "$(cat "$context/torch.txt")"
    fi
    install --requirement "$context/torch-needs.txt" --requirement "$context/workloads/pyproject.toml"
    slim
    ;;
  dependencies)
    environment
    install --requirement "$context/crds/pyproject.toml" --requirement "$context/$2/pyproject.toml" ${3:+--extra "$3"}
    slim
    ;;
  shard)
    install --requirement "$context/workloads/pyproject.toml" --extra shard
    "$uv" pip install --quiet --no-deps "$(cat "$context/kernels.txt")"
    slim
    ;;
  packages)
    "$uv" pip install --quiet --offline --no-cache --no-deps "$context"/dist/fathom_api-*.whl "$context/dist/fathom_$2"-*.whl
    ;;
esac
