#!/bin/sh
# The disk of a worker is lost. DATA: its folder, worker.data_dir/worker.id; STOP, START: the commands that stop and start it.
. "$(dirname "$0")/common.sh"
: "${DATA:?}" "${STOP:?}" "${START:?}"
step "stop the worker"
eval "$STOP"
step "lose $DATA"
rm -rf "$DATA.lost"
mv "$DATA" "$DATA.lost"
step "start the worker with an empty folder"
eval "$START"
within "all workers are ready" all_ready
exact
echo "the rows of before are in $DATA.lost, which can be deleted"
