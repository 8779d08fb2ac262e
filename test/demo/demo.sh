#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The whole story on one machine, each step checked: create, write, read, scale, switch over, fail over, back up. With --exit it cleans
# up and its exit code says whether every check was true; without, the cluster stays up for you to try until Ctrl-C.
# shellcheck disable=SC2317 # functions that traps and until_true call
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."

case $* in
'') stay=1 ;;
--exit) stay=0 ;;
*)
  echo "usage: ./dev demo [--exit]" >&2
  exit 2
  ;;
esac

program=build/postgres-apiserver
psql=$(command -v psql || true)
[[ -n $psql ]] || { echo "demo: psql is missing: ./dev setup installs it" >&2; exit 1; }

bold='' dim='' green='' plain=''
if [[ -t 1 && -n ${TERM:-} && $TERM != dumb && -z ${NO_COLOR:-} ]]; then
  bold=$'\033[1m' dim=$'\033[2m' green=$'\033[32m' plain=$'\033[0m'
fi

# PostgreSQL runs as another user when this is root: that user must be able to reach the folder.
dir=$(mktemp -d /tmp/postgres-apiserver-demo.XXXXXX)
chmod 0711 "$dir"
data=$dir/data
log=$dir/server.log
server=

say() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
exec 3>&1 # commands are shown here, also while their output is caught
show() { printf '%s$ %s%s\n' "$dim" "$*" "$plain" >&3; }
k() {
  show kubectl "$@"
  kubectl --kubeconfig "$data/admin.kubeconfig" "$@"
}
# The same without a trace, for checks.
q() { kubectl --kubeconfig "$data/admin.kubeconfig" "$@"; }

told=0
fail() {
  told=1
  printf '\ndemo: FAILED: %s\n' "$*" >&2
  q get pgc,pgi,pgb -o wide >&2 || true
  q get events >&2 || true
  tail -n 40 "$log" >&2 || true
  for f in "$data"/instances/*/*/*/agent.log "$data"/instances/*/*/*/postgres.log; do
    if [[ -s $f ]]; then printf -- '--- %s\n' "$f" >&2; tail -n 15 "$f" >&2; fi
  done
  exit 1
}

check() { # check WHAT ACTUAL EXPECTED
  if [[ $2 == "$3" ]]; then printf '   %strue%s  %s: %s\n' "$green" "$plain" "$1" "$2"; else fail "$1: got '$2', expected '$3'"; fi
}

# wait_for SECONDS COMMAND…: polls a condition, never longer than the deadline.
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS >= end)); then return 1; fi
    sleep 0.05
  done
}
until_true() { # SECONDS WHAT COMMAND…
  wait_for "$1" "${@:3}" || fail "$2 did not come true within $1 s"
}

# Processes that work below our folder: agents and what they started.
leftovers() {
  local cwd pid
  for cwd in /proc/[0-9]*/cwd; do
    if [[ $(readlink "$cwd" 2>/dev/null) == "$dir"/* ]]; then
      pid=${cwd#/proc/}
      printf '%s\n' "${pid%/cwd}"
    fi
  done
}
all_ended() { [[ -z $(leftovers) ]]; }

cleanup() {
  local result=$? pids
  trap - EXIT
  # Whoever is impatient, or has closed the terminal, must not leave half of it behind.
  trap '' INT TERM HUP PIPE
  # No end without a word: a command that fails ends the script too.
  if [[ $result != 0 && $result != 130 && $told == 0 ]]; then (fail "a command ended with $result") || true; fi
  if [[ -n $server ]] && kill -0 "$server" 2>/dev/null; then
    # Instances outlive the server: the clusters are deleted first, and their data with them.
    printf '\nStopping: the clusters are deleted, then the server ends.\n' 2>/dev/null || true
    q get pgc -A -o 'jsonpath={range .items[?(@.spec.deletionProtection==true)]}{.metadata.namespace} {.metadata.name}{"\n"}{end}' 2>/dev/null |
      while read -r namespace name; do
        q patch pgc "$name" -n "$namespace" --type merge -p '{"spec":{"deletionProtection":false}}' >/dev/null 2>&1 || true
      done || true
    q delete pgc --all -A --wait=true --timeout=60s >/dev/null 2>&1 || true
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  # What no server could end any more: agents end their PostgreSQL when they are told to.
  mapfile -t pids < <(leftovers)
  if [[ ${#pids[@]} -gt 0 ]]; then
    kill -TERM "${pids[@]}" 2>/dev/null || true
    wait_for 10 all_ended || { mapfile -t pids < <(leftovers) && kill -KILL "${pids[@]}" 2>/dev/null; } || true
  fi
  rm -rf --one-file-system "$dir"
  printf 'Nothing of the demo runs any more; %s is removed.\n' "$dir" 2>/dev/null || true
  exit "$result"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

secret() { q get secret demo-app -o "jsonpath={.data.$1}" | base64 -d; }
# Everybody can read argument lists, so the password of the URI goes by the environment.
uri() { secret uri | sed -E 's#^([a-z]+://[^:@/]+):[^@]*@#\1@#'; }
sql() { PGPASSWORD=$(secret password) PGCONNECT_TIMEOUT=30 "$psql" -X -q -At -v ON_ERROR_STOP=1 "$(uri)" -c "$1"; }
# The same database through one instance, whatever its role.
sql_on() {
  local host=$1
  shift
  PGPASSWORD=$(secret password) PGCONNECT_TIMEOUT=30 "$psql" -X -q -At -v ON_ERROR_STOP=1 \
    "host=$host port=5432 user=$(secret username) dbname=$(secret dbname) sslmode=verify-full sslrootcert=$ca" -c "$1"
}
status() { q get pgc demo -o "jsonpath={.status.$1}"; }
endpoint() { q get pgi "$1" -o 'jsonpath={.status.endpoint}' | cut -d: -f1; }
standby() { # the first of them
  local all
  all=$(q get pgi -o 'jsonpath={.items[?(@.status.role=="standby")].metadata.name}')
  printf '%s\n' "${all%% *}"
}
action() { # action NAME BODY
  show "kubectl create --raw /apis/postgres.example.io/v1/namespaces/default/postgresclusters/demo/$1 -f - <<<'$2'"
  q create --raw "/apis/postgres.example.io/v1/namespaces/default/postgresclusters/demo/$1" -f - <<<"$2"
}
field() { python3 -c 'import json,sys; v=json.load(sys.stdin)
for k in sys.argv[1].split("."): v=v.get(k) if isinstance(v, dict) else None
print("" if v is None else v)' "$1"; }
has_instances() { [[ $(q get pgi --no-headers 2>/dev/null | wc -l) == "$1" && $(status readyInstances) == "$1" ]]; }

say "Start the server: one process, its own certificates, an embedded store"
show "$program --standalone --data-dir $data --secure-port 0"
# In a session of its own: Ctrl-C is for this script, which still needs the server to end the cluster.
setsid "$program" --standalone --data-dir "$data" --secure-port 0 >"$log" 2>&1 &
server=$!
is_ready() { kill -0 "$server" && [[ -s $data/admin.kubeconfig ]] && q get --raw /readyz; }
until_true 120 "the server's readyz" is_ready
printf '   %s\n' "$(tail -n 1 "$log")"
k api-resources --api-group=postgres.example.io

say "Create a cluster of three"
began=$SECONDS
k apply -f deploy/samples/cluster.yaml
k wait --for=condition=Ready pgc/demo --timeout=240s || fail "the cluster is not ready"
check "instances that serve" "$(status readyInstances)" 3
printf '   ready after about %s s\n' $((SECONDS - began))
k get pgc,pgi
ca=$(secret uri | sed -n 's/.*sslrootcert=\([^&]*\).*/\1/p')

say "Write through the write endpoint, read on a replica"
sql "CREATE TABLE t (i int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)"
replica=$(standby)
reads_all() { [[ $(sql_on "$(endpoint "$replica")" 'SELECT count(*) FROM t') == 1000 ]]; }
until_true 120 "the rows on $replica" reads_all
check "rows on $replica" "$(sql_on "$(endpoint "$replica")" 'SELECT count(*) FROM t')" 1000
check "$replica is a replica" "$(sql_on "$(endpoint "$replica")" 'SELECT pg_is_in_recovery()')" t

say "Scale 3 → 4 → 3"
k scale pgc/demo --replicas=4
until_true 180 "four instances" has_instances 4
check "instances that serve" "$(status readyInstances)" 4
k get pgc,pgi
k scale pgc/demo --replicas=3
until_true 180 "three instances" has_instances 3
check "instances that serve" "$(status readyInstances)" 3
k get pgc,pgi

say "Switch over: the primary moves, no commit is lost"
from=$(status currentPrimary)
answer=$(action switchover '{"reason":"demo"}') || fail "switchover was refused"
printf '%s\n' "$answer"
check "primary before" "$(field from <<<"$answer")" "$from"
check "bytes lost" "$(field lostBytesBound <<<"$answer")" 0
to=$(field to <<<"$answer")
[[ -n $to && $to != "$from" ]] || fail "the primary did not move"
sql "INSERT INTO t VALUES (1001)"
check "rows through the same URI" "$(sql 'SELECT count(*) FROM t')" 1001
check "the URI leads to" "$(sql 'SELECT inet_server_addr()')" "$(endpoint "$to")"
k wait --for=condition=Ready pgc/demo --timeout=240s || fail "the cluster is not ready"
k get pgc,pgi

say "Fail over by POST"
from=$(status currentPrimary)
answer=$(action failover '{"reason":"demo"}') || fail "failover was refused"
printf '%s\n' "$answer"
[[ $(field to <<<"$answer") != "$from" ]] || fail "the primary did not move"
check "term" "$(field term <<<"$answer")" "$(status term)"
check "rows" "$(sql 'SELECT count(*) FROM t')" 1001
k wait --for=condition=Ready pgc/demo --timeout=240s || fail "the cluster is not ready"

say "Kill the primary's PostgreSQL: it comes back by itself"
primary=$(status currentPrimary)
postmaster=$(head -n 1 "$data"/instances/default/demo.*/"$primary"/pgdata/postmaster.pid)
show "kill -9 $postmaster"
kill -9 "$postmaster"
began=$(date +%s%N)
writes() { sql "INSERT INTO t VALUES (1002) ON CONFLICT DO NOTHING"; }
until_true 120 "writes after the crash" writes
printf '   writes again after %s ms\n' $((($(date +%s%N) - began) / 1000000))
check "rows" "$(sql 'SELECT count(*) FROM t')" 1002
k wait --for=condition=Ready pgc/demo --timeout=240s || fail "the cluster is not ready"

say "Back up by POST"
answer=$(action backup '{"type":"full"}') || fail "backup was refused"
backup=$(field metadata.name <<<"$answer")
printf '   %s\n' "postgresbackup/$backup"
k wait --for=jsonpath='{.status.phase}'=Succeeded "pgb/$backup" --timeout=300s || fail "the backup did not succeed: $(q get pgb "$backup" -o 'jsonpath={.status.error}')"
k get pgb -o wide

say "What happened"
k get pgc,pgi,pgb
k describe pgc demo | sed -n '/^Events:/,$p'

if ((stay == 0)); then
  say "Every step was checked and true"
  exit 0
fi

own_kubectl=''
if [[ $(command -v kubectl) == "$PWD"/build/tools/* ]]; then own_kubectl="  export PATH=${PWD@Q}/build/tools:\$PATH"$'\n'; fi
trap 'exit 0' INT # the usual end from here on
cat <<TXT

The cluster stays up. Try, in another terminal:

$own_kubectl  export KUBECONFIG=$data/admin.kubeconfig
  kubectl get pgc,pgi
  kubectl get pgc -w
  kubectl describe pgc demo
  kubectl explain pgc.spec --recursive
  kubectl scale pgc/demo --replicas=2
  echo '{}' | kubectl create --raw /apis/postgres.example.io/v1/namespaces/default/postgresclusters/demo/switchover -f -
  secret() { kubectl get secret demo-app -o "jsonpath={.data.\$1}" | base64 -d; }
  PGPASSWORD=\$(secret password) psql "\$(secret uri | sed 's#:[^:@]*@#@#')"    # not in the argument list, which all can read

All data is in $data, the server's log in $log.
Ctrl-C ends the cluster and the server, and removes $dir.
TXT
wait "$server" || true
server=
fail "the server ended by itself"
