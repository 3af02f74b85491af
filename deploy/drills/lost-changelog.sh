#!/bin/sh
# Kafka has lost the changelog of a table. CHANGELOG: its topic; DELETE_TOPIC: the command that deletes a topic, whose name
# follows it; STOP, START: the commands that stop and start all workers of the group.
. "$(dirname "$0")/common.sh"
: "${CHANGELOG:?}" "${DELETE_TOPIC:?}" "${STOP:?}" "${START:?}"
step "stop all workers"
eval "$STOP"
step "lose $CHANGELOG"
eval "$DELETE_TOPIC $CHANGELOG"
within "the topic is made anew" $CALLPULSE topics create
step "start all workers"
eval "$START"
within "all workers are ready" all_ready
exact
