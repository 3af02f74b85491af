# The common part of the drills. docs/drills.md lists the variables of each.
set -eu
: "${WORKERS:?the addresses of all workers, such as 'http://w1:8787 http://w2:8787'}"
CALLPULSE=${CALLPULSE:-callpulse}
WITHIN_S=${WITHIN_S:-300}

step() {
    echo "== $*"
}

# within WHAT COMMAND...: try each second until the command ends with 0.
within() {
    what=$1
    shift
    begun=$(date +%s)
    until "$@" >/dev/null 2>&1; do
        if [ $(($(date +%s) - begun)) -gt "$WITHIN_S" ]; then
            echo "not within $WITHIN_S s: $what" >&2
            exit 1
        fi
        sleep 1
    done
    echo "$what: after $(($(date +%s) - begun)) s"
}

all_ready() {
    for url in $WORKERS; do
        curl -fsS --max-time 5 "$url/-/ready" || return 1
    done
}

# exact [--bootstrap HOST:PORT]: make all tables anew from the topics in a group of their own, and compare every figure with the workers'.
exact() {
    group=drill-$(date +%s)-$$
    step "all tables anew in the group $group, and a comparison"
    answer=$($CALLPULSE rebuild --json --group "$group" "$@" $WORKERS)
    case $answer in
        *'"compared":true'*) ;;
        *) echo "the workers did not answer at the end: $answer" >&2; exit 1 ;;
    esac
    case $answer in
        *'"differences":[]'*) echo "exact: no figure differs" ;;
        *) echo "figures differ: $answer" >&2; exit 1 ;;
    esac
    echo "the topics $group-* can be deleted"
}
