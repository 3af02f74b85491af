-- From events to legs: what each finished leg counts, which legs are in progress, and the runs of work.
-- In: events, known, derived, roster(manager, zone). Out: managers, finished, in_progress, runs.

CREATE TABLE managers AS
WITH everyone AS (
    SELECT manager FROM roster UNION SELECT manager FROM events UNION SELECT manager FROM derived
),
zoned AS (
    SELECT manager, coalesce(zone, getvariable('default_zone')) AS zone FROM everyone LEFT JOIN roster USING (manager)
)
SELECT *, local_day(zone, getvariable('now_ms')) AS today FROM zoned;

-- When the parties of a leg could talk first.
CREATE TABLE answered AS
SELECT manager, call, min(at_ms) AS answered_at
FROM (
    SELECT manager, call, at_ms FROM events WHERE type = 'call.answered'
    UNION ALL
    SELECT manager, call, at_ms FROM derived WHERE is_answered
)
GROUP BY ALL;

CREATE TABLE ends AS
SELECT
    manager, call, at_ms, started_at, direction, kind,
    if(ended_by = 'timeout' AND answered_at IS NOT NULL, 'answered', disposition) AS disposition,
    lead, id, arrival,
    if(ended_by = 'timeout', NULL, talk_ms) AS talk_ms,
    CASE ended_by WHEN 'timeout' THEN 0 WHEN 'cdr' THEN 2 ELSE 3 END AS rank
FROM events LEFT JOIN answered USING (manager, call)
WHERE type = 'call.ended'
UNION ALL BY NAME
-- A transfer ends the leg of the one who hands the call over, once it is known when and how that leg began.
SELECT
    manager, call, transfer.at_ms, known.started_at, known.direction, known.kind, 'answered' AS disposition, known.lead,
    transfer.id, greatest(transfer.arrival, known.arrival) AS arrival,
    -- greatest() passes over NULL, and an unknown talk time must stay unknown.
    if(answered_at IS NULL, NULL, greatest(transfer.at_ms - answered_at, 0)) AS talk_ms,
    1 AS rank
FROM events AS transfer JOIN known USING (manager, call) LEFT JOIN answered USING (manager, call)
WHERE transfer.type = 'call.transferred';

-- A leg whose end never came is over after the longest call allowed.
INSERT INTO ends BY NAME
SELECT
    manager, call, started_at + getvariable('max_call_ms') AS at_ms, started_at, direction, kind,
    if(answered_at IS NULL, 'no_answer', 'answered') AS disposition,
    lead, 'timeout' AS id, arrival, NULL AS talk_ms, 0 AS rank
FROM known ANTI JOIN ends USING (manager, call) LEFT JOIN answered USING (manager, call)
WHERE started_at + getvariable('max_call_ms') <= getvariable('now_ms');

CREATE TABLE finished AS
WITH best AS (
    SELECT * FROM ends
    QUALIFY row_number() OVER (
        PARTITION BY manager, call ORDER BY rank DESC, disposition = 'answered' DESC, at_ms DESC, id DESC
    ) = 1
)
SELECT
    best.* EXCLUDE (kind),
    coalesce(kind, 'unknown') AS kind,
    at_ms // 60000 AS minute,
    local_day(zone, at_ms) AS day,
    today,
    direction = 'outbound' AS is_dial,
    disposition = 'answered' AS is_answered,
    disposition = 'answered' AND talk_ms IS NOT NULL AS is_talked,
    rank = 0 AS is_timed_out
FROM best JOIN managers USING (manager);

CREATE TABLE in_progress AS
WITH begun AS (
    SELECT manager, call, started_at AS at_ms FROM known WHERE has_start
    UNION ALL
    SELECT manager, call, answered_at FROM answered
)
SELECT manager, call, min(at_ms) AS since
FROM begun ANTI JOIN ends USING (manager, call)
-- Whoever handed a call over is not in it, even where too little is known of the leg to count it.
ANTI JOIN (FROM events WHERE type = 'call.transferred') AS transfer USING (manager, call)
GROUP BY ALL
HAVING since > getvariable('now_ms') - getvariable('max_call_ms');

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
        manager IN (SELECT manager FROM in_progress) AS is_busy
    FROM islands
) AS islands JOIN managers USING (manager);
