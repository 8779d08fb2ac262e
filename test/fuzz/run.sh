#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run.sh BUILD SECONDS [TARGET…]: lets libFuzzer drive each target (all without names) on top of its committed corpus,
# one on each core at a time.
# What it finds new stays in BUILD; a crash is kept as BUILD/fuzz/<target>/crash-*, to be added to the corpus with its fix.
set -euo pipefail
build=$1 seconds=$2
shift 2
here=$(dirname "$0")

# drive NAME: says how it went; only a target that passed leaves the file `passed`.
drive() {
  local name=$1 work=$build/fuzz/$1 dictionary=()
  rm -f "$work/passed"
  mkdir -p "$work/corpus"
  if [[ -f $here/corpus/$name.dict ]]; then dictionary=("-dict=$here/corpus/$name.dict"); fi
  if "$build/test/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=65536 \
    -print_final_stats=1 -artifact_prefix="$work/" ${dictionary[@]+"${dictionary[@]}"} "$work/corpus" \
    "$here/corpus/$name" >"$work/log" 2>&1; then
    touch "$work/passed"
    echo "fuzz $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log") inputs in $seconds s"
  else
    { tail -n 60 "$work/log" | sed "s/^/FAILED $name| /" && echo "FAILED fuzz $name"; } >&2
  fi
}

names=()
for program in "$build"/test/fuzz/fuzz_*; do
  if [[ ! -f $program || ! -x $program ]]; then continue; fi
  name=${program##*/fuzz_}
  if [[ $# -gt 0 && " $* " != *" $name "* ]]; then continue; fi
  if [[ $(jobs -rp | wc -l) -ge $(nproc) ]]; then wait -n || true; fi
  names+=("$name")
  drive "$name" &
done
wait

failed=0
for name in ${names[@]+"${names[@]}"}; do
  if [[ ! -e $build/fuzz/$name/passed ]]; then failed=$((failed + 1)); fi
done
if [[ ${#names[@]} == 0 ]]; then echo "fuzz: no target ran" >&2; fi
echo "$((${#names[@]} - failed)) passed, $failed failed"
[[ $failed == 0 && ${#names[@]} -gt 0 ]]
