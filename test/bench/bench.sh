#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./dev bench [get|create|list|watch|start|memory|store|http|failover …]: what the server costs, against what the bare
# libraries cost in the same run on the same machine, and whether the aims are reached. CPU per operation is the
# server's alone (clock of its process); rates are this machine's and its neighbours'. Without names: all but the layers
# alone (store, http) and failover, which takes minutes. BENCH_SCALE (percent, 100) makes the runs shorter or longer.
#
# The aims in CPU time and start time were set where a bare h2o handler takes 3.5 us of CPU per GET. The same machine can
# take half as much again an hour later, so each part with such an aim measures that handler, too: a figure above its aim
# that is within it once divided by (bare GET here / 3.5 us) is "at pace". Rates, ratios, latencies and memory have no such
# allowance, and a machine that is faster than the reference gets no stricter aims.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
BUILD=${BENCH_BUILD:-$PWD/build-bench}
SERVER=$BUILD/postgres-apiserver
. test/harness/server.sh

clusters=/apis/postgres.example.io/v1/namespaces/default/postgresclusters
. test/bench/failover.sh
missed=0 at_pace=0
reference_us=3.5 # CPU of a bare GET where the aims were set
pace=1 pace_us=''
declare -A got

scaled() { echo $(($1 * ${BENCH_SCALE:-100} / 100)); }
calc() { awk "BEGIN { printf \"%.${2:-2}f\", $1 }"; }

# measure PROGRAM [ARGUMENT…]: its name=value pairs into `got`.
measure() {
  local line pair
  line=$(timeout 120 "$BUILD/test/bench/$1" "${@:2}" | head -n 1)
  got=()
  for pair in $line; do got[${pair%%=*}]=${pair#*=}; done
}

load() { measure bench_load "$SERVER_ADDRESS" "$SERVER_PORT" "$SERVER_DIR/pki" "$SERVER_PID" "$@"; }

heading() {
  printf '\n%-52s %10s %12s  %-8s %s\n' "$1" here aim '' beside
}

show_row() {
  printf '%-52s %10s %12s  %-8s %s\n' "$1" "$2" "${4/-/} $3" "$6" "$5"
}

is_true() { awk "BEGIN { exit !($1) }"; }

# row WHAT VALUE UNIT AIM BESIDE: an aim like "<= 8" or ">= 60"; "-" for a figure without one.
row() {
  local verdict=''
  if [[ $4 != - ]]; then
    if is_true "$2 $4"; then verdict=reached; else verdict=MISSED missed=$((missed + 1)); fi
  fi
  show_row "$@" "$verdict"
}

# cpu_row WHAT VALUE UNIT AIM BESIDE: an aim in CPU or start time, which this machine's pace stretches.
cpu_row() {
  local what=$1 value=$2 unit=$3 aim=$4 beside=$5
  if is_true "$value $aim" || ! is_true "$value / $pace $aim"; then
    row "$@"
    return
  fi
  at_pace=$((at_pace + 1))
  show_row "$what" "$value" "$unit" "$aim" "$(calc "$value / $pace") at a bare GET of $reference_us us (here $pace_us); $beside" "at pace"
}

# take_pace US: what a bare GET costs here and now.
take_pace() {
  pace_us=$1
  pace=$(calc "($1 > $reference_us ? $1 / $reference_us : 1)" 4)
}

# For parts without figures of the bare handler of their own; needs a folder with certificates.
measure_pace() {
  with_peer 1400 requests / "$(scaled 50000)" 4 25
  take_pace "${got[cpu_us]}"
}

# part NAME: a data folder of its own.
part() {
  SERVER_DIR=$WORK/$1 SERVER_LOG=$WORK/$1.log
  mkdir -p "$SERVER_DIR"
}

# peer BYTES COMMAND…: runs it while the bare handler serves; `peer_port` and `peer_pid` say where.
with_peer() {
  local bytes=$1 peer_pid
  shift
  "$BUILD/test/bench/bench_peer" "$SERVER_DIR/pki" "$bytes" >"$WORK/peer.port" &
  peer_pid=$!
  wait_until 5 grep -q . "$WORK/peer.port"
  measure bench_load "$SERVER_ADDRESS" "$(cat "$WORK/peer.port")" "$SERVER_DIR/pki" "$peer_pid" "$@"
  kill "$peer_pid"
  wait "$peer_pid" 2>/dev/null || true
}

batches() {
  "$BUILD/test/bench/bench_load" "$SERVER_ADDRESS" "$SERVER_PORT" "$SERVER_DIR/pki" "$SERVER_PID" print /metrics |
    awk '$1 == "store_batch_writes_sum" { s = $2 } $1 == "store_batch_writes_count" { n = $2 } END { print s, n }'
}

# --- parts -------------------------------------------------------------------------------------------------------------

bench_get() {
  local n bare
  n=$(scaled 100000)
  part get
  server_start --controllers=
  load create "$clusters" 64 4 16
  heading "GET of a 1.4 KB object, 4 connections x 25 streams"
  with_peer 1400 requests / "$n" 4 25
  bare=${got[cpu_us]}
  take_pace "$bare"
  row "bare h2o handler" "$bare" "us CPU" - "${got[per_s]}/s"
  load requests "$clusters/bench-000000?resourceVersion=0" "$n" 4 25
  cpu_row "from cache" "${got[cpu_us]}" "us CPU" "<= 8" "$(calc "${got[cpu_us]} / $bare") x bare (the aim: $(calc "8 / $reference_us") x), ${got[per_s]}/s, p50 ${got[p50_ms]} ms; Go: 380 us"
  load requests "$clusters/bench-000000" "$n" 4 25
  cpu_row "linearizable" "${got[cpu_us]}" "us CPU" "<= 16" "$(calc "${got[cpu_us]} / $bare") x bare (the aim: $(calc "16 / $reference_us") x), ${got[per_s]}/s, p50 ${got[p50_ms]} ms; Go: 670 us"
  server_stop
}

# median, least and greatest of the numbers given, one a line.
spread() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)], v[1], v[NR] }'; }

# Ours and the bare loop take turns, so that both have the same disk and the same neighbours: a ratio for each pair of short
# runs, and their median. The load runs on the same cores as the server; the bare loop has them for itself.
bench_create() {
  local n round rounds=9 sum count was_sum was_count ours batch ratios='' cpus='' clients='' bares='' rates=''
  local ratio ratio_least ratio_most cpu client bare
  n=$(scaled 4000)
  part create
  server_start --controllers=
  load create "$clusters" 500 4 16 900000
  measure_pace
  heading "durable CREATE of 1.4 KB objects, 64 in flight ($rounds pairs of runs)"
  for ((round = 0; round < rounds; round++)); do
    read -r was_sum was_count < <(batches)
    load create "$clusters" "$n" 4 16 $((round * n))
    ours=${got[per_s]} cpus+="${got[cpu_us]}"$'\n' clients+="${got[client_us]}"$'\n'
    read -r sum count < <(batches)
    batch=$(calc "($sum - $was_sum) / ($count - $was_count)" 1)
    measure bench_store bare "$n" "$batch" "${got[bytes]}"
    bares+="${got[cpu_us]}"$'\n' ratios+=$(calc "100 * $ours / ${got[per_s]}" 1)$'\n'
    rates+="$ours/${got[per_s]}/$batch "
  done
  read -r ratio ratio_least ratio_most < <(printf %s "$ratios" | spread)
  read -r cpu _ < <(printf %s "$cpus" | spread)
  read -r client _ < <(printf %s "$clients" | spread)
  read -r bare _ < <(printf %s "$bares" | spread)
  row "rate against a bare SQLite loop, equal batches" "$ratio" "%" ">= 60" "$ratio_least to $ratio_most; per s/bare/batch: $rates"
  cpu_row "CPU" "$cpu" "us CPU" "<= 120" "of it bare SQLite $bare us; beside it on the same $(nproc) CPUs the load: $client us; Go: 1475 us"
  bench_other_writes "$n"
  server_stop
}

# What bench_create made is changed and removed.
bench_other_writes() {
  local n=$1
  load patch "$clusters" "$n" 4 16
  row "PATCH of an annotation" "${got[cpu_us]}" "us CPU" - "${got[per_s]}/s, p50 ${got[p50_ms]} ms"
  load delete "$clusters" "$n" 4 16
  row "DELETE" "${got[cpu_us]}" "us CPU" - "${got[per_s]}/s, p50 ${got[p50_ms]} ms"
  load create "$clusters" $((n / 4)) 1 1
  row "CREATE, one in flight: p50" "${got[p50_ms]}" ms - "p99 ${got[p99_ms]} ms, ${got[cpu_us]} us CPU"
  measure bench_store bare $((n / 4)) 1 "${got[bytes]}"
  row "… a bare SQLite loop, one a transaction: mean" "$(calc "1000 / ${got[per_s]}" 3)" ms - ""
}

bench_list() {
  local n bare bytes
  n=$(scaled 100)
  part list
  server_start --controllers=
  load create "$clusters" 2001 4 16
  measure_pace
  heading "LIST of 2,001 objects"
  load requests "$clusters" 2 1 1
  bytes=${got[bytes]}
  with_peer "$bytes" requests / "$n" 1 1
  bare=${got[cpu_us]}
  row "bare h2o handler, $bytes bytes" "$(calc "$bare / 1000")" "ms CPU" - "${got[per_s]}/s"
  load requests "$clusters" "$n" 1 1
  cpu_row "uncompressed" "$(calc "${got[cpu_us]} / 1000")" "ms CPU" "<= 4" "$(calc "${got[cpu_us]} / $bare" 1) x bare, ${got[per_s]}/s, p50 ${got[p50_ms]} ms; Go: 42 ms"
  load requests "$clusters" $((n / 4)) 1 1 gzip
  row "gzip (on a worker)" "$(calc "${got[cpu_us]} / 1000")" "ms CPU" - "${got[bytes]} bytes, ${got[per_s]}/s, p50 ${got[p50_ms]} ms"
  server_stop
}

bench_watch() {
  part watch
  server_start --controllers=
  load create "$clusters" 1 1 1
  measure_pace
  heading "one change to 1,000 watches on 10 connections"
  load watch "$clusters" 10 100 "$(scaled 50)"
  row "the last one has it, p50" "${got[last_p50_ms]}" ms "<= 30" "from sending the PATCH; max ${got[last_max_ms]} ms; first to last ${got[spread_ms]} ms"
  cpu_row "CPU per delivery" "${got[cpu_us]}" "us CPU" "<= 8" "the PATCH included; Go: 44 us"
  row "memory per watch" "${got[kib_per_watch]}" KiB "<= 10" "its connection included; ${got[kib_after_events]} after ${got[rounds]} events; Go: 87 KiB"
  server_stop
}

# starts DIR N [fresh]: median and worst of N starts.
starts() {
  local dir=$1 n=$2 i all=''
  for ((i = 0; i < n; i++)); do
    if [[ -n ${3:-} ]]; then rm -rf "$dir"; fi
    measure bench_start "$SERVER" --standalone --data-dir "$dir" --secure-port 0 --controllers=
    all+="${got[ready_ms]} ${got[cpu_ms]} ${got[rss_kib]}"$'\n'
  done
  read -r ready cpu rss < <(sort -n <<<"${all%$'\n'}" | awk '{ v[NR] = $0 } END { print v[int((NR + 1) / 2)] }')
  worst=$(sort -n <<<"${all%$'\n'}" | awk 'END { print $1 }')
}

bench_start() {
  local ready cpu rss worst
  part first
  heading "start to ready (median of 11)"
  starts "$SERVER_DIR" 11 fresh
  measure_pace
  cpu_row "first start: makes its certificates" "$ready" ms "<= 50" "CPU $cpu ms, worst $worst ms; Go: 1200 ms"
  starts "$SERVER_DIR" 11
  cpu_row "empty store" "$ready" ms "<= 50" "CPU $cpu ms, worst $worst ms"
  part start
  server_start --controllers=
  load create "$clusters" 10000 4 16
  server_stop
  starts "$SERVER_DIR" 7
  cpu_row "10,000 objects" "$ready" ms "<= 500" "CPU $cpu ms, worst $worst ms, then $(calc "$rss / 1024" 1) MiB resident"
}

bench_memory() {
  local ready cpu rss worst
  part memory
  heading "resident memory"
  starts "$SERVER_DIR" 1
  row "idle" "$(calc "$rss / 1024" 1)" MiB "<= 20" "Go: 74 MiB"
  server_start --controllers=
  load create "$clusters" 2001 4 16
  row "with 2,001 objects, just created" "$(calc "${got[rss_kib]} / 1024" 1)" MiB "<= 32" "Go: 135 MiB"
  load requests "$clusters" 20 1 1
  row "… after listing them" "$(calc "${got[rss_kib]} / 1024" 1)" MiB - ""
  server_stop
  starts "$SERVER_DIR" 1
  row "with 2,001 objects, started again" "$(calc "$rss / 1024" 1)" MiB "<= 32" ""
}

bench_store() {
  heading "the store alone"
  timeout 120 "$BUILD/test/bench/bench_store" "$(scaled 10000)"
}

bench_http() {
  heading "the HTTP layer alone"
  timeout 120 "$BUILD/test/bench/bench_http" "$(scaled 50000)"
}

if [[ $# == 0 ]]; then set -- get list watch create start memory; fi
for what in "$@"; do
  if ! declare -F "bench_$what" >/dev/null; then
    echo "bench: no such part: $what (get list watch create start memory store http failover)" >&2
    exit 2
  fi
done
harness_begin
echo "$(grep -m 1 'model name' /proc/cpuinfo | sed 's/.*: //'), $(nproc) CPUs, load $(cut -d' ' -f1-3 /proc/loadavg), $(uname -r)"
if awk '{ exit !($1 > 1) }' /proc/loadavg; then
  echo "The machine is busy: rates and ratios say little, and CPU times are too high (cold caches, more switches)."
fi
for what in "$@"; do "bench_$what"; done
echo
if [[ $at_pace != 0 ]]; then
  echo "at pace: the aim was set where a bare h2o GET takes $reference_us us of CPU; divided by how much slower that is here, the figure reaches it"
  echo "reached only at this machine's pace: $at_pace"
fi
if [[ $missed == 0 ]]; then echo "no aim missed"; else echo "aims missed: $missed"; fi
