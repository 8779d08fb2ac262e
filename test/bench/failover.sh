#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sourced by bench.sh: times of real clusters on the local platform, as a client sees them. The checking client (writer)
# goes through the published URI, retries after 10 ms, and looks for every acknowledged row at the end. A run that fails
# counts as one that missed its aim. FAILOVER_RUNS (20) runs of each.

: "${clusters:?sourced by bench.sh}"

failover_field() { kubectl get pgc "$1" -o "jsonpath={.status.$2}"; }
failover_secret() { kubectl get secret "$1-app" -o "jsonpath={.data.$2}" | base64 -d; }

# Everybody can read argument lists, so the password of the URI goes by the environment (PGPASSWORD).
failover_uri() { failover_secret "$1" uri | sed -E 's#^([a-z]+://[^:@/]+):[^@]*@#\1@#'; }

failover_cluster() { # NAME POSTGRESQL
  cat <<YAML
apiVersion: postgres.example.io/v1
kind: PostgresCluster
metadata: {name: $1}
spec:
  instances: 3
  storage: {size: 1Gi, reclaimPolicy: Delete}
  postgresql: {$2}
YAML
}

# Three instances that serve, and both standbys stream.
failover_is_whole() {
  [[ $(failover_field "$1" readyInstances) == 3 ]] &&
    [[ $(PGPASSWORD=$(failover_secret "$1" password) PGCONNECT_TIMEOUT=2 psql -XAtq "$(failover_uri "$1")" \
      -c 'SELECT count(*) FROM pg_stat_replication') == 2 ]]
}

# create NAME POSTGRESQL: milliseconds from apply until Ready.
failover_create() {
  local begun=${EPOCHREALTIME/./}
  failover_cluster "$1" "$2" | kubectl apply -f - >/dev/null
  kubectl wait --for=condition=Ready "pgc/$1" --timeout=60s >/dev/null
  echo $(((${EPOCHREALTIME/./} - begun) / 1000))
}

failover_delete() { kubectl delete pgc "$1" --timeout=60s >/dev/null; }

# ask COMMAND: one answer of the writer.
failover_ask() {
  local answer
  printf '%s\n' "$1" >&"${WRITER[1]}"
  read -r -t 150 answer <&"${WRITER[0]}"
  printf '%s\n' "$answer"
}

# p50 and max of the numbers in $1, into `median` and `worst`.
failover_digest() {
  read -r median worst < <(tr ' ' '\n' <<<"$1" | grep . | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)], v[NR] }')
}

failover_rows() { # WHAT NUMBERS AIM FAILED BESIDE
  local median='' worst=''
  if [[ -z ${2// /} ]]; then
    row "$1" - ms - "$4 of $FAILOVER_RUNS runs failed"
    missed=$((missed + 1))
    return
  fi
  failover_digest "$2"
  row "$1, p50" "$median" ms "$3" "max $worst ms of $FAILOVER_RUNS runs, $4 failed${5:+; $5}"
  if [[ $4 != 0 ]]; then missed=$((missed + 1)); fi
}

failover_switch() { # CLUSTER
  printf '{"reason":"bench"}' | kubectl create --raw "$clusters/$1/switchover" -f - >/dev/null
}

failover_crash() { # CLUSTER
  local primary pid
  primary=$(failover_field "$1" currentPrimary)
  pid=$(head -n 1 "$SERVER_DIR/instances/default/$1".*/"$primary"/pgdata/postmaster.pid)
  kill -KILL "$pid"
}

# outages WHAT CLUSTER ACTION AIM LOSS: runs the action under the writer; LOSS is how many acknowledged rows may miss.
failover_outages() {
  local what=$1 cluster=$2 action=$3 aim=$4 loss=$5 run gaps='' failed=0 gap result acknowledged lost
  coproc WRITER {
    PGPASSWORD=$(failover_secret "$cluster" password)
    export PGPASSWORD
    exec "$BUILD/test/bench/writer" "$(failover_uri "$cluster")" 2>>"$WORK/writer.log"
  }
  local pid=$WRITER_PID
  for ((run = 0; run < FAILOVER_RUNS; run++)); do
    if wait_until 60 failover_is_whole "$cluster" && failover_ask "wait 50" >/dev/null && failover_ask mark >/dev/null &&
      "$action" "$cluster" 2>>"$WORK/failover.log" && failover_ask "wait 50" >/dev/null && gap=$(failover_ask gap); then
      gaps+="${gap#gap } "
    else
      failed=$((failed + 1))
    fi
  done
  result=$(failover_ask verify) || result='verify 0 all'
  read -r _ acknowledged lost <<<"$result"
  kill "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  failover_rows "$what" "$gaps" "$aim" "$failed" "$acknowledged rows acknowledged, $lost lost"
  if [[ $loss != any && $lost != "$loss" ]]; then
    echo "  acknowledged rows were lost: $lost"
    missed=$((missed + 1))
  fi
}

# What a cluster costs while nothing happens: CPU of the server and of its agents, read from /proc.
failover_idle() { # CLUSTER
  local pid seconds=10 server agents=0 n=0 kib=0
  local -a pids
  mapfile -t pids < <(cat "$SERVER_DIR/instances/default/$1".*/*/agent.pid)
  failover_ticks() { # PID: user and system ticks so far
    awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"
  }
  server=-$(failover_ticks "$SERVER_PID")
  for pid in "${pids[@]}"; do agents=$((agents - $(failover_ticks "$pid"))); done
  sleep "$seconds"
  server=$((server + $(failover_ticks "$SERVER_PID")))
  for pid in "${pids[@]}"; do
    agents=$((agents + $(failover_ticks "$pid")))
    kib=$((kib + $(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")))
    n=$((n + 1))
  done
  local per=$(($(getconf CLK_TCK) * seconds))
  row "an idle cluster, the server's CPU" "$(calc "100 * $server / $per")" "%" "<= 2" "of one core, over $seconds s"
  row "an idle cluster, an agent's CPU" "$(calc "100 * $agents / $per / $n")" "%" "<= 2" "$(calc "$kib / $n / 1024" 1) MiB resident"
}

bench_failover() {
  local run times='' failed=0 ms
  FAILOVER_RUNS=${FAILOVER_RUNS:-20}
  part data
  server_start
  heading "PostgreSQL on the local platform"
  for ((run = 0; run < FAILOVER_RUNS; run++)); do
    if ms=$(failover_create "made-$run" '') && wait_until 60 failover_is_whole "made-$run"; then
      times+="$ms "
    else
      failed=$((failed + 1))
    fi
    failover_delete "made-$run"
  done
  failover_rows "a cluster of three is ready after apply" "$times" "<= 10000" "$failed" ''

  failover_create bench '' >/dev/null
  failover_idle bench
  failover_outages "switchover, no write acknowledged for" bench failover_switch "<= 1000" 0
  failover_outages "kill -9 of the primary, asynchronous" bench failover_crash "<= 2000" any
  failover_delete bench
  failover_create safe 'synchronous: {number: 1, dataDurability: required}' >/dev/null
  failover_outages "kill -9 of the primary, synchronous required" safe failover_crash "<= 2000" 0
  failover_delete safe
  server_stop
}
