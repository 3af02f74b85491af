#!/bin/sh
# A worker is killed at moments that nobody chooses, while events arrive. KILL: the command that ends it as kill -9 does;
# START: the one that starts it; KILLS: how often.
. "$(dirname "$0")/common.sh"
: "${KILL:?}" "${START:?}"
number=0
while [ "$number" -lt "${KILLS:-5}" ]; do
    number=$((number + 1))
    # Checkpoints are less than a second apart: within these moments some kills fall into one.
    sleep "0.$(awk 'BEGIN { srand(); printf "%03d", rand() * 999 }')"
    step "kill the worker, $number"
    eval "$KILL"
    eval "$START"
    within "all workers are ready" all_ready
done
exact
