#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sourced by tests that drive the real server: a temporary data folder, a free port, a wait for the ready line with a
# deadline, kubectl as admin, and an end that leaves no process behind. SERVER is the program under test.
#
#   . test/harness/server.sh
#   harness_begin
#   server_start --controllers=
#   k get --raw /readyz
#
# Variables for tests: WORK (scratch folder), SERVER_DIR (its --data-dir), SERVER_PORT, SERVER_PID, SERVER_LOG.
# KUBECTL chooses the kubectl, SERVER_DEADLINE the seconds until ready (20), SERVER_ADDRESS the address (127.0.0.1).

HARNESS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROJECT=$(cd "$HARNESS/../.." && pwd)
SERVER=${SERVER:-$PROJECT/build/postgres-apiserver}
SERVER_ADDRESS=${SERVER_ADDRESS:-127.0.0.1}
SERVER_DEADLINE=${SERVER_DEADLINE:-20}
# The one line that says that requests are answered; a logfmt or a JSON log.
SERVER_READY=${SERVER_READY:-'(msg|event|message)"?[=:] ?"?ready'}
SERVER_PID='' SERVER_PORT='' SERVER_DIR='' SERVER_LOG='' WORK=''
HARNESS_FAILED=0

# harness_begin: the scratch folder, and the promise to clean up however the test ends.
harness_begin() {
  WORK=$(mktemp -d "${TMPDIR:-/tmp}/harness.XXXXXX")
  chmod 755 "$WORK" # instances run as another user
  SERVER_DIR=$WORK/data SERVER_LOG=$WORK/server.log
  mkdir "$WORK/bin"
  # By its full path: the wrapper itself is the first kubectl of PATH.
  local kubectl
  kubectl=$(command -v "${KUBECTL:-kubectl}") || kubectl=/nonexistent/kubectl
  printf '#!/bin/sh\nexec %q --kubeconfig %q --cache-dir %q "$@"\n' "$kubectl" "$SERVER_DIR/admin.kubeconfig" \
    "$WORK/cache" >"$WORK/bin/kubectl"
  chmod 755 "$WORK/bin/kubectl"
  export HOME=$WORK PATH="$WORK/bin:$PATH" WORK SERVER_DIR
  unset KUBECONFIG
  trap harness_end EXIT
  GUARDED=$WORK setsid "$HARNESS/guardian" $$ </dev/null >/dev/null 2>&1 & # if we are killed
}

# Every process that has our folder in its arguments was started for this test, by us or by what we started.
harness_processes() {
  grep -laF -- "$WORK/" /proc/[0-9]*/cmdline 2>/dev/null | sed -nE "s#^/proc/([0-9]+)/.*#\1#p" | grep -vx "$$" || true
}

harness_end() {
  local result=$? pid
  trap - EXIT
  if [[ -n $SERVER_PID ]] && ! server_stop; then
    echo "# the server did not end well" >&2
    HARNESS_FAILED=1
  fi
  if [[ $result != 0 || $HARNESS_FAILED != 0 ]]; then
    harness_dump >&2
    if [[ $result == 0 ]]; then result=1; fi
  fi
  # Agents and their PostgreSQL outlive the server on purpose; not the test.
  for pid in $(harness_processes); do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in $(harness_processes); do wait_gone "$pid" 10 || kill -KILL "$pid" 2>/dev/null || true; done
  if [[ -z ${HARNESS_KEEP:-} ]]; then rm -rf --one-file-system "$WORK"; else echo "# kept: $WORK" >&2; fi
  exit "$result"
}

harness_dump() {
  local log
  echo "--- logs of the failed test ---"
  while IFS= read -r log; do
    echo "--- ${log#"$WORK/"} (last 60 lines)"
    tail -n 60 "$log"
  done < <(find "$WORK" -name '*.log' -type f -size +0 | sort)
}

# wait_line PATTERN FILE SECONDS PID: until a line of FILE matches; fails at the deadline or when PID ends before.
wait_line() {
  local fd follower result=0
  exec {fd}< <(exec timeout "$3" tail -n +1 -s 0.1 --pid="$4" -f "$2" 2>/dev/null)
  follower=$!
  grep -m 1 -q -E -- "$1" <&"$fd" || result=1
  kill "$follower" 2>/dev/null || true
  exec {fd}<&-
  return "$result"
}

# wait_gone PID SECONDS: until the process has ended.
wait_gone() {
  if [[ ! -d /proc/$1 ]]; then return 0; fi
  timeout "$2" tail -s 0.05 --pid="$1" -f /dev/null
}

# wait_until SECONDS COMMAND…: until the command succeeds; its last output is shown when it never does.
wait_until() {
  local deadline=$((${EPOCHREALTIME/./} + $1 * 1000000)) output=''
  shift
  while ! output=$("$@" 2>&1); do
    if ((${EPOCHREALTIME/./} > deadline)); then
      printf '# gave up waiting for: %s\n%s\n' "$*" "$output" >&2
      return 1
    fi
    read -r -t 0.1 <> <(:) || true
  done
}

free_port() {
  python3 -c 'import socket,sys; s=socket.socket(); s.bind((sys.argv[1], 0)); print(s.getsockname()[1])' "$SERVER_ADDRESS"
}

# server_start [option…]: starts it on a free port (the same again after a restart) and waits until it is ready.
server_start() {
  local attempt keep=${SERVER_PORT:+1}
  for attempt in 1 2 3 4 5; do
    if [[ -z $keep ]]; then SERVER_PORT=$(free_port); fi
    printf -- '--- start %s on port %s\n' "$attempt" "$SERVER_PORT" >>"$SERVER_LOG.all"
    : >"$SERVER_LOG"
    "$SERVER" --standalone --data-dir "$SERVER_DIR" --bind-address "$SERVER_ADDRESS" --secure-port "$SERVER_PORT" "$@" \
      >>"$SERVER_LOG" 2>&1 </dev/null &
    SERVER_PID=$!
    if wait_line "$SERVER_READY" "$SERVER_LOG" "$SERVER_DEADLINE" "$SERVER_PID"; then return 0; fi
    kill -KILL "$SERVER_PID" 2>/dev/null || true
    wait "$SERVER_PID" 2>/dev/null || true
    SERVER_PID=''
    # Somebody else took the port between the look and the start: another one.
    if ! grep -qi 'address already in use' "$SERVER_LOG"; then break; fi
  done
  echo "# the server did not become ready within $SERVER_DEADLINE s" >&2
  HARNESS_FAILED=1
  return 1
}

# server_stop: the graceful end; fails when it takes longer than 15 s or does not exit with 0.
server_stop() {
  local result=0 pid=$SERVER_PID
  SERVER_PID=''
  kill -TERM "$pid" 2>/dev/null || true
  if ! wait_gone "$pid" 15; then
    echo "# the server does not stop; killing it" >&2
    kill -KILL "$pid" 2>/dev/null || true
    result=1
  fi
  wait "$pid" || result=$?
  cat "$SERVER_LOG" >>"$SERVER_LOG.all"
  return "$result"
}

# server_kill: kill -9, as a crash would.
server_kill() {
  kill -KILL "$SERVER_PID"
  wait "$SERVER_PID" 2>/dev/null || true
  cat "$SERVER_LOG" >>"$SERVER_LOG.all"
  SERVER_PID=''
}

k() {
  "$WORK/bin/kubectl" "$@"
}

# --- TAP -------------------------------------------------------------------------------------------------------------

TAP_COUNT=0
tap_begin() { echo "TAP version 13"; }
tap_end() {
  echo "1..$TAP_COUNT"
  [[ $HARNESS_FAILED == 0 && $TAP_COUNT -gt 0 ]]
}
tap_skip_all() {
  echo "TAP version 13"
  echo "1..0 # SKIP $*"
  exit 0
}

# check SENTENCE COMMAND…: one test; the output of a failed command becomes diagnostics. The command runs in a subshell
# without `set -e`: the steps of a function are joined by &&, and what later tests need is started outside of check.
check() {
  local sentence=$1 output
  shift
  TAP_COUNT=$((TAP_COUNT + 1))
  if output=$("$@" 2>&1); then
    echo "ok $TAP_COUNT - $sentence"
  else
    HARNESS_FAILED=1
    echo "not ok $TAP_COUNT - $sentence"
    printf '%s\n' "+ $*" "$output" | sed 's/^/# /'
  fi
}
