#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The harness tests itself: start and stop, deadlines, what is left behind, the normaliser, transcripts, the counting of tests.
set -euo pipefail
# shellcheck source=server.sh
. "$(dirname "$0")/server.sh"
SERVER=$HARNESS/fake-server
KUBECTL='echo'
harness_begin
tap_begin

starts_and_stops() {
  server_start && [[ -n $SERVER_PID && -d /proc/$SERVER_PID ]] && server_stop
}
refuses() { # no ready line: the start fails, and soon
  SERVER_DEADLINE=1
  ! (trap - EXIT && server_start "$1" 2>/dev/null)
}
leaves_nothing() { # a child that outlives the server ends with the test
  local folder
  folder=$(bash -c '. "$1/server.sh"; SERVER=$1/fake-server; harness_begin; server_start --child; server_kill; echo "$WORK"' bash "$HARNESS")
  [[ -n $folder && ! -e $folder ]] && ! grep -qF "$folder" /proc/[0-9]*/cmdline 2>/dev/null
}
kubectl_is_wrapped() {
  [[ $(k get pgc) == "--kubeconfig $SERVER_DIR/admin.kubeconfig --cache-dir $WORK/cache get pgc" ]]
}
gives_up() {
  ! wait_until 1 false 2>/dev/null
}
normalises() { # INPUT EXPECTED
  local actual
  actual=$(python3 "$HARNESS/normalise.py" <<<"$1")
  [[ $actual == "$2" ]] || { echo "$actual"; return 1; }
}
transcript() { # TEXT…: passes as a transcript
  printf '%s\n' "$@" >"$WORK/t.golden"
  python3 "$HARNESS/transcript.py" "$WORK/t.golden" "$WORK/out" && cmp "$WORK/t.golden" "$WORK/out"
}
updates() {
  printf '%s\n' '$ echo new; false' 'old' >"$WORK/t.golden"
  UPDATE=1 python3 "$HARNESS/transcript.py" "$WORK/t.golden" "$WORK/out" >/dev/null
  [[ $(cat "$WORK/t.golden") == '$ echo new; false'$'\n''new'$'\n''[exit 1]' ]]
}
report() { # EXPECTED EXIT MINIMUMS JSON…
  local actual result=0
  printf '%s\n' "$3" >"$WORK/minimums"
  printf '%s\n' "${@:4}" >"$WORK/log.json"
  actual=$(python3 "$HARNESS/report.py" --whole "$WORK/minimums" "$WORK/log.json" 2>"$WORK/complaints") || result=$?
  [[ "$actual/$result" == "$1/$2" ]] || { echo "$actual/$result"; cat "$WORK/complaints"; return 1; }
}
tap='{"name": "p / a", "result": "OK", "stdout": "TAP version 13\n1..2\nok - one\nok - two\n"}'
bad='{"name": "p / a", "result": "ERROR", "stdout": "TAP version 13\n1..2\nok - one\nnot ok - two\n"}'
cut='{"name": "p / a", "result": "ERROR", "stdout": "TAP version 13\n1..2\nok - one\n"}'
plain='{"name": "p:thread / b", "result": "OK", "stdout": ""}'
late='{"name": "p:thread / b", "result": "TIMEOUT", "stdout": ""}'

check "a server that says that it is ready is started and stopped" starts_and_stops
check "a server that is never ready fails at the deadline" refuses --never-ready
check "a server that dies fails at once" refuses --die
check "a process that outlives the server ends with the test" leaves_nothing
check "kubectl gets the kubeconfig of the server" kubectl_is_wrapped
check "a wait ends at its deadline" gives_up
check "a time becomes a name" normalises 'at 2026-01-02T03:04:05.678Z.' 'at <TIME>.'
check "a uid becomes a name" normalises 'uid: 01234567-89ab-cdef-0123-456789abcdef' 'uid: <UID>'
check "a resource version becomes a name" normalises '{"resourceVersion":"42"}' '{"resourceVersion":"<RV>"}'
check "a port becomes a name" normalises 'https://127.0.0.1:40123/api' 'https://127.0.0.1:<PORT>/api'
check "an age becomes a name and the column keeps no width" normalises 'demo   3/3      2m10s' 'demo   3/3   <AGE>'
check "a ready count is no position in the log" normalises '3/3 at 0/3000148' '3/3 at <LSN>'
check "a version stays as it is" normalises 'apiVersion: postgres.example.io/v1' 'apiVersion: postgres.example.io/v1'
check "a scratch folder becomes a name" normalises "$WORK/data" '<WORK>/data'
check "a transcript passes when it says what is so" transcript '# one' '$ echo a' 'a' '' '% true' '$ cat <<E; exit 3' '> $ b' '> E' '\$ b' '[exit 3]'
check "a transcript fails when it does not" bash -c '! "$@" >/dev/null' bash env WORK="$WORK" bash -c "printf '\$ echo a\nb\n' >\$WORK/f && python3 $HARNESS/transcript.py \$WORK/f \$WORK/out"
check "a transcript is rewritten when asked" updates
check "subtests and programs are counted" report '3 passed, 0 failed' 0 $'a 2\nb 1' "$tap" "$plain"
check "a failed subtest counts" report '2 passed, 1 failed' 1 $'a 2\nb 1' "$bad" "$plain"
check "a program that ends too early counts as a failure" report '2 passed, 1 failed' 1 $'a 2\nb 1' "$cut" "$plain"
check "a program that times out counts as a failure" report '2 passed, 1 failed' 1 $'a 2\nb 1' "$tap" "$late"
check "too few tests count as a failure" report '3 passed, 1 failed' 1 $'a 3\nb 1' "$tap" "$plain"
check "a program that did not run counts as a failure" report '2 passed, 1 failed' 1 $'a 2\nb 1' "$tap"
check "an unlisted program counts as a failure" report '3 passed, 1 failed' 1 'a 2' "$tap" "$plain"
tap_end
