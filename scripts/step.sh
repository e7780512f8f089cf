#!/usr/bin/env bash
# step.sh "What it does" command... - says so, runs it, says every minute that it still runs, and how long it took.
set -uo pipefail
label=$1
shift
started=$SECONDS
if [ -t 1 ]; then mark=$'\033[1m==>\033[0m'; else mark='==>'; fi
say() { printf '%s %s\n' "$mark" "$*"; }
elapsed() { printf '%d:%02d' $(((SECONDS - started) / 60)) $(((SECONDS - started) % 60)); }

say "$label"
while sleep 60 </dev/null >/dev/null 2>&1; do say "$label: at it for $(elapsed)"; done &
clock=$!
trap 'kill "$clock" 2>/dev/null' EXIT
"$@"
status=$?
if [ "$status" -eq 0 ]; then say "$label: done in $(elapsed)"; else say "$label: FAILED after $(elapsed) (exit status $status)"; fi
exit "$status"
