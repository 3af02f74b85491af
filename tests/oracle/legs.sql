-- From events to legs: what each finished leg counts, which legs are in progress, and the runs of work.
-- In: events, known, derived, roster(manager, zone). Out: managers, finished, internal, in_progress, runs.

CREATE TABLE managers AS
WITH everyone AS (
    SELECT manager FROM roster UNION SELECT manager FROM events UNION SELECT manager FROM derived
),
zoned AS (
    SELECT manager, coalesce(zone, getvariable('default_zone')) AS zone FROM everyone LEFT JOIN roster USING (manager)
)
SELECT *, local_day(zone, getvariable('now_ms')) AS today FROM zoned;

-- Moments at which the parties of a leg could talk, at which it began, and at which it was over.
CREATE TABLE answers_of AS
SELECT manager, call, at_ms FROM events WHERE type = 'call.answered'
UNION ALL
SELECT manager, call, at_ms FROM derived WHERE is_answered;

CREATE TABLE answered AS SELECT manager, call, min(at_ms) AS answered_at FROM answers_of GROUP BY ALL;

CREATE TABLE starts_of AS
SELECT manager, call, at_ms, true AS is_own FROM events WHERE type = 'call.started'
UNION ALL
SELECT manager, call, at_ms, true FROM derived
UNION ALL
SELECT manager, call, started_at, false FROM events WHERE type = 'call.ended' AND ended_by <> 'timeout';

CREATE TABLE over_at AS
SELECT manager, call, at_ms FROM events
WHERE type = 'call.transferred' OR (type = 'call.ended' AND ended_by <> 'timeout');

-- The stretches of a leg: a start opens one where the leg was over after the start before it, and not later than it.
CREATE TABLE stretches AS
WITH ordered AS (
    SELECT manager, call, at_ms, lag(at_ms) OVER (PARTITION BY manager, call ORDER BY at_ms) AS before
    FROM (SELECT DISTINCT manager, call, at_ms FROM starts_of)
),
opened AS (
    SELECT manager, call, at_ms AS since FROM ordered
    WHERE EXISTS (
        FROM over_at
        WHERE over_at.manager = ordered.manager AND over_at.call = ordered.call
            AND over_at.at_ms > before AND over_at.at_ms <= ordered.at_ms
    )
    UNION ALL
    SELECT DISTINCT manager, call, 0 FROM (
        SELECT manager, call FROM events WHERE type LIKE 'call.%' UNION ALL SELECT manager, call FROM derived
    )
)
SELECT *, coalesce(lead(since) OVER (PARTITION BY manager, call ORDER BY since), 9e15::BIGINT) AS until FROM opened;

CREATE TABLE ends AS
SELECT
    manager, call, since, at_ms, started_at, direction, kind, disposition, lead, id, arrival, talk_ms, is_internal,
    if(ended_by = 'cdr', 2, 3) + if(is_uncertain, 0, 2) AS rank
FROM events JOIN stretches USING (manager, call)
WHERE type = 'call.ended' AND ended_by <> 'timeout' AND started_at >= since AND started_at < until
UNION ALL BY NAME
-- A transfer ends the leg of the one who hands the call over, once it is known when and how that leg began.
SELECT
    manager, call, since, transfer.at_ms,
    coalesce(
        (
            SELECT min(at_ms) FROM starts_of AS own
            WHERE own.manager = transfer.manager AND own.call = transfer.call AND is_own
                AND own.at_ms >= since AND own.at_ms < until
        ),
        known.started_at
    ) AS started_at,
    known.direction, known.kind, 'answered' AS disposition, known.lead, transfer.id,
    greatest(transfer.arrival, known.arrival) AS arrival,
    -- greatest() passes over NULL, and an unknown talk time must stay unknown.
    if(first_answer IS NULL, NULL, greatest(transfer.at_ms - first_answer, 0)) AS talk_ms,
    known.is_internal,
    1 AS rank
FROM (
    SELECT
        events.*, since, until,
        (
            SELECT min(at_ms) FROM answers_of
            WHERE answers_of.manager = events.manager AND answers_of.call = events.call
                AND answers_of.at_ms >= since AND answers_of.at_ms < until
        ) AS first_answer
    FROM events JOIN stretches USING (manager, call)
    WHERE type = 'call.transferred' AND at_ms > since AND at_ms <= until
) AS transfer JOIN known USING (manager, call);

-- A leg of which no end is known but that of a timeout: what a source says, or the longest call allowed.
INSERT INTO ends BY NAME
SELECT
    manager, call, 0 AS since, at_ms, started_at, direction, kind,
    if(answered_at IS NULL, disposition, 'answered') AS disposition,
    lead, id, arrival, NULL AS talk_ms, is_internal, 0 AS rank
FROM events ANTI JOIN ends USING (manager, call) LEFT JOIN answered USING (manager, call)
WHERE type = 'call.ended' AND ended_by = 'timeout';

INSERT INTO ends BY NAME
SELECT
    manager, call, 0 AS since, started_at + getvariable('max_call_ms') AS at_ms, started_at, direction, kind,
    if(answered_at IS NULL, 'no_answer', 'answered') AS disposition,
    lead, 'timeout' AS id, arrival, NULL AS talk_ms, is_internal, 0 AS rank
FROM known ANTI JOIN ends USING (manager, call) LEFT JOIN answered USING (manager, call)
WHERE started_at + getvariable('max_call_ms') <= getvariable('now_ms');

-- A leg counts once, at the end of its last stretch, with the talk of all of them. Internal stretches count only where
-- the leg has no other.
CREATE TABLE all_finished AS
WITH parts AS (
    SELECT * FROM ends
    QUALIFY row_number() OVER (
        PARTITION BY manager, call, since
        ORDER BY rank DESC, disposition = 'answered' DESC, at_ms DESC, id DESC
    ) = 1
),
counted AS (
    SELECT * FROM parts QUALIFY NOT is_internal OR bool_and(is_internal) OVER (PARTITION BY manager, call)
),
whole AS (
    SELECT
        manager, call,
        arg_max(at_ms, since) AS at_ms,
        arg_min(started_at, since) AS started_at,
        arg_min(direction, since) AS direction,
        first(kind ORDER BY since) AS kind,
        if(bool_or(disposition = 'answered'), 'answered', arg_max(disposition, since)) AS disposition,
        arg_max(lead, since) AS lead,  -- passes over NULL
        arg_max(id, since) AS id,
        max(arrival) AS arrival,
        sum(talk_ms) FILTER (disposition = 'answered')::BIGINT AS talk_ms,
        first(is_internal ORDER BY since) AS is_internal,
        max(rank) AS rank
    FROM counted GROUP BY ALL
)
SELECT
    whole.* EXCLUDE (kind),
    coalesce(kind, 'unknown') AS kind,
    at_ms // 60000 AS minute,
    local_day(zone, at_ms) AS day,
    today,
    direction = 'outbound' AS is_dial,
    disposition = 'answered' AS is_answered,
    disposition = 'answered' AND talk_ms IS NOT NULL AS is_talked,
    rank = 0 AS is_timed_out
FROM whole JOIN managers USING (manager);

-- Legs between colleagues are no calls: they count apart, and no lead hears of them.
CREATE TABLE finished AS SELECT * EXCLUDE (is_internal) FROM all_finished WHERE NOT is_internal;
CREATE TABLE internal AS SELECT * EXCLUDE (is_internal) FROM all_finished WHERE is_internal;

-- A leg is in progress if its last stretch has no end, and has not lasted too long.
CREATE TABLE busy AS
WITH last AS (
    FROM stretches QUALIFY row_number() OVER (PARTITION BY manager, call ORDER BY since DESC) = 1
),
begun AS (
    SELECT manager, call, at_ms FROM starts_of WHERE is_own
    UNION ALL
    SELECT manager, call, at_ms FROM answers_of
)
SELECT * FROM (
    SELECT manager, call, if(last.since > 0, last.since, min(begun.at_ms)) AS since
    FROM last JOIN begun USING (manager, call)
    WHERE NOT EXISTS (
        FROM events
        WHERE events.manager = last.manager AND events.call = last.call AND (
            (type = 'call.ended' AND (last.since = 0 OR started_at >= last.since))
            OR (type = 'call.transferred' AND at_ms > last.since)
        )
    )
    GROUP BY manager, call, last.since
) AS found
WHERE found.since > getvariable('now_ms') - getvariable('max_call_ms');

CREATE TABLE in_progress AS FROM busy ANTI JOIN (FROM known WHERE is_internal) AS apart USING (manager, call);

CREATE TABLE spans AS
SELECT
    manager,
    if(type = 'call.ended', greatest(started_at, at_ms - getvariable('max_call_ms')), at_ms) AS began,
    at_ms AS ended
FROM events
WHERE type LIKE 'call.%' AND NOT (type = 'call.ended' AND ended_by = 'timeout')
UNION ALL
SELECT manager, at_ms, at_ms FROM derived;

-- Gaps and islands: a run begins where every span before it ended the gap or more ago.
CREATE TABLE runs AS
WITH marked AS (
    SELECT
        *,
        coalesce(
            began >= max(ended) OVER (
                PARTITION BY manager ORDER BY began, ended ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) + getvariable('work_gap_ms'),
            true
        ) AS is_first
    FROM (SELECT DISTINCT * FROM spans)  -- equal spans would have no order, here and below
),
numbered AS (
    SELECT
        *,
        count_if(is_first) OVER (
            PARTITION BY manager ORDER BY began, ended ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS run
    FROM marked
),
islands AS (
    SELECT manager, run, min(began) AS began, max(ended) AS ended FROM numbered GROUP BY ALL
)
SELECT
    islands.* REPLACE (if(is_last AND is_busy, greatest(ended, getvariable('now_ms')), ended) AS ended),
    is_last AND (is_busy OR getvariable('now_ms') - ended < getvariable('work_gap_ms')) AS is_current,
    local_day(zone, began) AS day,
    today
FROM (
    SELECT
        *,
        run = max(run) OVER (PARTITION BY manager) AS is_last,
        manager IN (SELECT manager FROM busy) AS is_busy
    FROM islands
) AS islands JOIN managers USING (manager);
