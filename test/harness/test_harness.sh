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
dies_with_it() { # kill -9 of the test itself
  local folder result=0
  # shellcheck disable=SC2016
  folder=$(bash -c '. "$1/server.sh"; SERVER=$1/fake-server; harness_begin; server_start --child; echo "$WORK"; kill -KILL $$' \
    bash "$HARNESS") || result=$?
  [[ -n $folder && $result == 137 ]] && wait_until 10 test ! -e "$folder" && ! grep -qF "$folder" /proc/[0-9]*/cmdline 2>/dev/null
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
told() { # JSON EXPECTED: a program fails, and what is told of it is exactly this
  local actual result=0
  printf '%s\n' 'a 1' >"$WORK/minimums"
  printf '%s\n' "$1" >"$WORK/log.json"
  actual=$(python3 "$HARNESS/report.py" --whole "$WORK/minimums" "$WORK/log.json" 2>&1 >/dev/null) || result=$?
  [[ $actual == "$2" && $result == 1 ]] || { echo "$actual"; return 1; }
}
story_is_short() { # whatever a program prints
  local actual result=0
  python3 - >"$WORK/log.json" <<'END'
import json
out = "TAP version 13\n" + "".join(f"not ok {i}\n# {'x' * 1000}\n" for i in range(1000))
print(json.dumps({"name": "p / a", "result": "ERROR", "stdout": out, "stderr": "last\033[31m\n" * 1000}))
END
  actual=$(python3 "$HARNESS/report.py" --part "$WORK/minimums" "$WORK/log.json" 2>&1 >/dev/null) || result=$?
  [[ $result == 1 && $(wc -l <<<"$actual") == 61 && $(wc -L <<<"$actual") -le 320 && $actual == *'stderr: last [31m'* && $actual == *' more lines]'* ]] ||
    { echo "$actual"; return 1; }
}
# ci TEXT…: .ci/run over a ./dev that does these lines of shell for its command ($1); its output in $WORK/ci.out
ci() {
  rm -rf "$WORK/ci" && mkdir -p "$WORK/ci/.ci" && cp "$HARNESS/../../.ci/run" "$WORK/ci/.ci/"
  printf '%s\n' '#!/usr/bin/env bash' "$@" >"$WORK/ci/dev" && chmod +x "$WORK/ci/dev"
  "$WORK/ci/.ci/run" >"$WORK/ci.out" 2>&1
}
ends_with() { # EXPECTED
  local actual
  actual=$(tail -n "$(wc -l <<<"$1")" "$WORK/ci.out")
  [[ $actual == "$1" ]] || { cat "$WORK/ci.out"; return 1; }
}
ci_passes() {
  ci 'echo "2 passed, 0 failed"' && ends_with '12 passed, 0 failed' && ! grep -q FAILED "$WORK/ci.out"
}
ci_tells() { # two steps fail with a story, a third without one
  # shellcheck disable=SC2016
  ! ci 'case $1 in lint | test) echo noise; echo "FAILED $1| why" >&2; echo "1 passed, 2 failed"; exit 1 ;;' \
    'fuzz) seq 100; exit 3 ;; *) echo "2 passed, 0 failed" ;; esac' &&
    ends_with "=== what failed in ./dev lint:
FAILED lint| why
=== what failed in ./dev test:
FAILED test| why
=== what failed in ./dev fuzz (exit 3), its last lines:
$(seq 71 100)
8 passed, 5 failed"
}
tap='{"name": "p / a", "result": "OK", "stdout": "TAP version 13\n1..2\nok - one\nok - two\n"}'
bad='{"name": "p / a", "result": "ERROR", "stdout": "TAP version 13\n1..2\nok - one\nnot ok - two\n"}'
cut='{"name": "p / a", "result": "ERROR", "stdout": "TAP version 13\n1..2\nok - one\n"}'
skips='{"name": "p / a", "result": "OK", "stdout": "TAP version 13\n1..2\nok - one\nok - two # SKIP why\n"}'
skipped='{"name": "p:thread / b", "result": "SKIP", "stdout": "TAP version 13\n1..0 # SKIP why\n"}'
plain='{"name": "p:thread / b", "result": "OK", "stdout": ""}'
late='{"name": "p:thread / b", "result": "TIMEOUT", "stdout": ""}'

check "a server that says that it is ready is started and stopped" starts_and_stops
check "a server that is never ready fails at the deadline" refuses --never-ready
check "a server that dies fails at once" refuses --die
check "a process that outlives the server ends with the test" leaves_nothing
check "what a killed test started dies with it" dies_with_it
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
check "skipped tests are told, and are not too few" report '1 passed, 0 failed, 1 skipped' 0 $'a 2\nb 1' "$skips" "$skipped"
check "what a filter left out did not run" report '2 passed, 1 failed' 1 $'a 2\nb 1' "${skips/why/test was skipped}" "$plain"
check "a program that did not run counts as a failure" report '2 passed, 1 failed' 1 $'a 2\nb 1' "$tap"
check "an unlisted program counts as a failure" report '3 passed, 1 failed' 1 'a 2' "$tap" "$plain"
check "a failed program is told by its failed subtests and the end of its stderr" told \
  '{"name": "p / a", "result": "ERROR", "stdout": "TAP version 13\nok 1\nnot ok 2 - two\n# it is 3\n  - t.c:5\nok 3\n# no\n", "stderr": "x\n\ny\n"}' \
  'FAILED a| not ok 2 - two
FAILED a| # it is 3
FAILED a|   - t.c:5
FAILED a| stderr: x
FAILED a| stderr: y
FAILED a: 1 failed (ERROR)'
check "a program that names no failed subtest is told by the end of what it said" told \
  '{"name": "p / a", "result": "TIMEOUT", "stdout": "TAP version 13\nok 1\n"}' 'FAILED a| TAP version 13
FAILED a| ok 1
FAILED a: 1 failed (TIMEOUT)'
check "a sanitizer's report is told from its head" told \
  '{"name": "p / a", "result": "ERROR", "stdout": "TAP version 13\nnot ok 1\n", "stderr": "x\n==7==ERROR: AddressSanitizer: it\n#0 f\n'"$(printf 'y\\n%.0s' {1..99})"'"}' \
  "FAILED a| not ok 1
FAILED a| stderr: ==7==ERROR: AddressSanitizer: it
FAILED a| stderr: #0 f
$(printf 'FAILED a| stderr: y\n%.0s' {1..28})
FAILED a: 1 failed (ERROR)"
check "a story is short" story_is_short
check ".ci/run that passes tells no failures" ci_passes
check ".ci/run tells what failed in all steps above its last line" ci_tells
tap_end
