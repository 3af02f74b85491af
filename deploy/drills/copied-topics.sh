#!/bin/sh
# A copy of all events, with other partitions or on another cluster, from which every figure is made again.
# PARTITIONS, PREFIX: of the copy; TO: the address of another cluster, which keeps the prefix if PREFIX is that of today.
. "$(dirname "$0")/common.sh"
: "${PARTITIONS:?}" "${PREFIX?}"
step "copy the topics"
$CALLPULSE topics grow --partitions "$PARTITIONS" --prefix "$PREFIX" ${TO:+--to "$TO"}
step "once more: only what came since is copied"
$CALLPULSE topics grow --partitions "$PARTITIONS" --prefix "$PREFIX" ${TO:+--to "$TO"}
CALLPULSE_KAFKA__PARTITIONS=$PARTITIONS CALLPULSE_KAFKA__TOPIC_PREFIX=$PREFIX
export CALLPULSE_KAFKA__PARTITIONS CALLPULSE_KAFKA__TOPIC_PREFIX
exact ${TO:+--bootstrap "$TO"}
