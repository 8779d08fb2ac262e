#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run.sh BUILD SECONDS [TARGET…]: lets libFuzzer drive each target (all without names) on top of its committed corpus.
# What it finds new stays in BUILD; a crash is kept as BUILD/fuzz/<target>/crash-*, to be added to the corpus with its fix.
set -euo pipefail
build=$1 seconds=$2
shift 2
here=$(dirname "$0")
passed=0 failed=0
for program in "$build"/test/fuzz/fuzz_*; do
  if [[ ! -f $program || ! -x $program ]]; then continue; fi
  name=${program##*/fuzz_}
  if [[ $# -gt 0 && " $* " != *" $name "* ]]; then continue; fi
  work=$build/fuzz/$name
  mkdir -p "$work/corpus"
  dictionary=()
  if [[ -f $here/corpus/$name.dict ]]; then dictionary=("-dict=$here/corpus/$name.dict"); fi
  if "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=65536 -print_final_stats=1 \
    -artifact_prefix="$work/" ${dictionary[@]+"${dictionary[@]}"} "$work/corpus" "$here/corpus/$name" >"$work/log" 2>&1; then
    passed=$((passed + 1))
    echo "fuzz $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log") inputs in $seconds s"
  else
    failed=$((failed + 1))
    tail -n 60 "$work/log" | sed "s/^/FAILED $name| /" >&2
    echo "FAILED fuzz $name" >&2
  fi
done
if [[ $((passed + failed)) == 0 ]]; then echo "fuzz: no target ran" >&2; fi
echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
