#!/bin/sh
# Kafka is away until the spool of a gateway is full. GATEWAY, STATUS: the addresses of its ports of events and of state;
# TOKEN: of a sender; STOP_KAFKA, START_KAFKA: the commands that stop and start Kafka; PROMETHEUS: an address, to wait
# for the alerts, too; REQUESTS: after how many the spool must be full.
. "$(dirname "$0")/common.sh"
: "${GATEWAY:?}" "${STATUS:?}" "${TOKEN:?}" "${STOP_KAFKA:?}" "${START_KAFKA:?}"
CALLS=100 # in a request
run=drill-$(date +%m%d-%H%M%S)
now=$(date +%s)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
printf 'Authorization: Bearer %s\n' "$TOKEN" >"$folder/sender" # other users can see the arguments of a command

# fail TEXT: end, with the last answer of the gateway.
fail() {
    echo "$*" >&2
    cat "$folder/head" "$folder/answer" >&2
    exit 1
}

# send NUMBER: send a request, whose ids depend on the number alone. Prints the status; the answer is in files.
send() {
    awk -v run="$run" -v request="$1" -v calls="$CALLS" -v at="$now" -v start="$((now - 60))" 'BEGIN {
        for (number = 0; number < calls; number++) {
            id = run "-" request "-" number
            printf "{\"v\":1,\"id\":\"%s\",\"type\":\"call.ended\",\"source\":\"drill\",\"call\":\"%s\",", id, id
            printf "\"manager\":\"%s-%d\",\"direction\":\"outbound\",\"disposition\":\"answered\",", run, number % 10
            printf "\"at\":%s000,\"started_at\":%s000,\"answered_at\":%s000,\"talk_ms\":60000}\n", at, start, start
        }
    }' >"$folder/calls"
    curl -sS --max-time 30 -o "$folder/answer" -D "$folder/head" -w '%{http_code}' -H "@$folder/sender" \
        -H 'Content-Type: application/x-ndjson' --data-binary "@$folder/calls" "$GATEWAY/v1/events" || true
}

is_stored() {
    [ "$(send "$1")" = 202 ]
}

is_ready() {
    curl -fsS --max-time 5 "$STATUS/-/ready"
}

# total PATTERN URL...: the sum over all series of the pages of metrics whose line has the pattern.
total() {
    pattern=$1
    shift
    for url in "$@"; do
        curl -fsS --max-time 10 "$url/metrics" || return 1
    done >"$folder/metrics"
    grep -E "$pattern" "$folder/metrics" | awk '{ sum += $NF } END { printf "%d\n", sum }'
}

refused() {
    total '^callpulse_source_not_stored_total\{' "$STATUS"
}

is_sent() {
    [ "$(total '^callpulse_spool_bytes ' "$STATUS")" = 0 ]
}

is_counted() {
    [ "$(total "^callpulse_calls\{manager=\"$run-.*window=\"7d\"" $WORKERS)" = "$((requests * CALLS))" ]
}

fires() {
    curl -fsSG --max-time 5 --data-urlencode "query=ALERTS{alertname=\"$1\",alertstate=\"firing\"}" "$PROMETHEUS/api/v1/query" |
        grep -q '"alertname"'
}

within "the gateway takes events" is_ready
refused_before=$(refused)
step "stop Kafka"
eval "$STOP_KAFKA"
step "send calls of $run-* until the gateway refuses some"
requests=1
while is_stored "$requests"; do
    [ "$requests" -lt "${REQUESTS:-1000}" ] || fail "the spool is not full after $requests requests: set a smaller gateway.spool_max_bytes"
    requests=$((requests + 1))
done
grep -q '"urn:callpulse:problem:not-stored"' "$folder/answer" || fail "the answer does not say that nothing is stored"
grep -qi '^retry-after: [0-9]' "$folder/head" || fail "the answer does not say when to come back"
if is_ready 2>/dev/null; then fail "the gateway says that it takes events"; fi
[ "$(refused)" = "$((refused_before + CALLS))" ] || fail "the gateway does not count what it refused"
echo "stored: $(((requests - 1) * CALLS)) calls in the spool; refused: $CALLS, with 503 and a time to come back"
for alert in ${PROMETHEUS:+SpoolFilling EventsNotStored}; do
    within "$alert fires" fires "$alert"
done
step "start Kafka"
eval "$START_KAFKA"
within "the gateway takes events" is_ready
within "what was refused is stored" is_stored "$requests"
is_stored 1 || fail "a repeat is refused"
grep -q "\"duplicates\":$CALLS\b" "$folder/answer" || fail "a repeat is stored again"
within "the spool is sent" is_sent
within "all workers are ready" all_ready
within "the workers count $((requests * CALLS)) calls, each once" is_counted
exact
is_counted || fail "the workers count more than that"
