#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run.sh VERSION TRANSCRIPT [SERVER]: runs a golden transcript with kubectl VERSION (1.32, 1.37) against a fresh server; TAP.
# The first line of a transcript may name options of the server: `#server --controllers=`. Where an older kubectl words
# things differently, NAME.VERSION.golden stands beside NAME.golden. UPDATE=1 rewrites the file.
set -euo pipefail
# shellcheck source=../harness/server.sh
. "$(dirname "$0")/../harness/server.sh"
version=$1 transcript=$(realpath "$2") SERVER=$(realpath "${3:-$PROJECT/build/postgres-apiserver}")
if [[ -f ${transcript%.golden}.$version.golden ]]; then transcript=${transcript%.golden}.$version.golden; fi
KUBECTL=$PROJECT/build/tools/kubectl-$version
if [[ ! -x $KUBECTL ]]; then tap_skip_all "no $KUBECTL: run ./dev setup"; fi
export PROJECT SERVER
harness_begin
options=()
if [[ $(head -n 1 "$transcript") == '#server '* ]]; then
  read -r -a options < <(head -n 1 "$transcript")
  options=("${options[@]:1}")
fi
cd "$PROJECT/test/golden"
server_start ${options[@]+"${options[@]}"}
export -f wait_until # for steps that follow something in the background
python3 "$HARNESS/transcript.py" "$transcript" "$WORK/transcript"
