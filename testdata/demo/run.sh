#!/bin/sh
# `make demo`: starts the workload beside this file, attaches gilscope to it for 5 s, reports, and stops the workload.
# Needs ./gilscope and python3; root only for the recording.
set -eu
cd "$(dirname "$0")/../.."
trace=demo.pftrace

as_root=
if [ "$(id -u)" -ne 0 ]; then
	as_root=sudo
	command -v sudo >/dev/null || { echo "demo: recording needs root: run it as root, or install sudo" >&2; exit 4; }
	sudo -v # ask for the password before the workload runs
fi

ready=$(mktemp)
python3 testdata/demo/workload.py </dev/null >"$ready" &
workload=$!
trap 'kill "$workload" 2>/dev/null || :; wait "$workload" || :; rm -f "$ready"' EXIT
trap 'exit 1' HUP INT PIPE TERM # the shell then runs the line above, which it does not when a signal ends it
tries=0
until grep -q ready "$ready"; do
	kill -0 "$workload" 2>/dev/null && [ $tries -lt 100 ] || { echo "demo: the workload did not start" >&2; exit 4; }
	tries=$((tries + 1))
	sleep 0.1
done

echo "demo: python3 testdata/demo/workload.py runs as process $workload; recording it for 5 s"
$as_root ./gilscope record -p "$workload" -d 5s -o "$trace"
[ -z "$as_root" ] || sudo chown "$(id -u):$(id -g)" "$trace"
echo
./gilscope report "$trace"
echo
echo "demo: see the timeline in Perfetto with: ./gilscope view $trace"
