-- From legs and runs to what the metrics show, as answers(name, manager, labels, value).
-- In: managers, finished, internal, in_progress, runs, events, windows(name, days), kinds, dispositions, bounds(le, bound_ms).

CREATE TABLE answers (name VARCHAR, manager VARCHAR, labels VARCHAR[], value DOUBLE);

-- Every finished leg in every window that holds it; `1h` is 60 whole minutes, the others are local days.
CREATE TABLE windowed AS
SELECT windows.name AS "window", finished.*
FROM finished JOIN windows ON
    if(
        windows.days IS NULL,
        minute BETWEEN getvariable('now_ms') // 60000 - 59 AND getvariable('now_ms') // 60000,
        day BETWEEN today - windows.days + 1 AND today
    );

CREATE TABLE sums AS
WITH found AS (
    SELECT
        manager,
        "window",
        count_if(NOT is_dial) AS inbound,
        count_if(is_dial) AS outbound,
        count_if(is_answered) AS answered,
        count_if(is_answered AND is_dial) AS connected,
        count_if(is_talked) AS talked,
        count_if(is_talked AND talk_ms < getvariable('short_ms')) AS short,
        count_if(is_talked AND talk_ms >= getvariable('conversation_ms')) AS conversations,
        count_if(is_talked AND talk_ms >= getvariable('meaningful_ms')) AS meaningful,
        coalesce(sum(talk_ms) FILTER (is_talked), 0) AS talk_ms,
        count_if(is_timed_out) AS timed_out
    FROM windowed GROUP BY ALL
)
SELECT manager, "window", coalesce(columns(* EXCLUDE (manager, "window")), 0)
FROM (SELECT manager, name AS "window" FROM managers CROSS JOIN windows) LEFT JOIN found USING (manager, "window");

INSERT INTO answers
SELECT 'calls', manager, ['window', "window", 'direction', 'inbound'], inbound FROM sums
UNION ALL SELECT 'calls', manager, ['window', "window", 'direction', 'outbound'], outbound FROM sums
UNION ALL SELECT 'answered_calls', manager, ['window', "window"], answered FROM sums
    WHERE "window" IN ('1h', 'today', '7d', '30d')
UNION ALL SELECT 'meaningful_calls', manager, ['window', "window"], meaningful FROM sums
    WHERE "window" IN ('today', '7d', '30d')
UNION ALL SELECT 'talk_time_seconds', manager, ['window', "window"], talk_ms / 1000 FROM sums
UNION ALL SELECT 'connect_ratio', manager, ['window', "window"], connected / outbound FROM sums
    WHERE outbound > 0 AND "window" IN ('today', '7d', '30d')
UNION ALL SELECT 'short_call_ratio', manager, ['window', "window"], short / talked FROM sums
    WHERE talked > 0 AND "window" IN ('today', '7d', '30d')
UNION ALL SELECT 'conversations', manager, ['window', "window"], conversations FROM sums WHERE "window" IN ('today', '30d')
UNION ALL SELECT 'attempts_per_contact', manager, ['window', "window"], outbound / connected
    FROM sums WHERE connected > 0 AND "window" = '30d'
UNION ALL SELECT 'calls_timed_out', manager, ['window', "window"], timed_out FROM sums WHERE "window" = 'today';

INSERT INTO answers
WITH of_today AS (
    SELECT manager, internal.call, if(is_talked, talk_ms, 0) AS talk_ms
    FROM managers LEFT JOIN internal USING (manager) WHERE internal.day IS NULL OR internal.day = managers.today
)
SELECT 'internal_calls', manager, ['window', 'today'], count(call) FROM managers LEFT JOIN of_today USING (manager)
GROUP BY manager
UNION ALL
SELECT 'internal_talk_seconds', manager, ['window', 'today'], coalesce(sum(talk_ms), 0) / 1000
FROM managers LEFT JOIN of_today USING (manager) GROUP BY manager;

INSERT INTO answers
SELECT 'calls_by_kind', managers.manager, ['window', windows.name, 'kind', kinds.kind], count(leg.manager)
FROM managers CROSS JOIN windows CROSS JOIN kinds LEFT JOIN windowed AS leg
    ON leg.manager = managers.manager AND leg."window" = windows.name AND leg.kind = kinds.kind
WHERE windows.name IN ('today', '30d', '90d')
GROUP BY managers.manager, windows.name, kinds.kind;

INSERT INTO answers
SELECT
    'calls_by_disposition', managers.manager, ['window', 'today', 'disposition', dispositions.disposition],
    count(leg.manager)
FROM managers CROSS JOIN dispositions LEFT JOIN windowed AS leg
    ON leg.manager = managers.manager AND leg."window" = 'today' AND leg.disposition = dispositions.disposition
GROUP BY managers.manager, dispositions.disposition;

INSERT INTO answers
SELECT 'calls_talked', manager, ['window', 'today', 'le', le], coalesce(talked, 0)
FROM managers CROSS JOIN bounds LEFT JOIN (
    SELECT leg.manager, le, count(*) AS talked
    FROM windowed AS leg JOIN bounds ON leg.talk_ms <= bound_ms
    WHERE leg."window" = 'today' AND leg.is_talked
    GROUP BY ALL
) AS found USING (manager, le);

INSERT INTO answers
SELECT 'calls_in_progress', manager, [], count(call) FROM managers LEFT JOIN in_progress USING (manager) GROUP BY manager
UNION ALL
SELECT
    'longest_call_in_progress_seconds', manager, [],
    greatest(coalesce(getvariable('now_ms') - min(since), 0), 0) / 1000
FROM managers LEFT JOIN in_progress USING (manager) GROUP BY manager
UNION ALL
SELECT 'last_activity_timestamp_seconds', manager, [], max(ended) / 1000 FROM spans GROUP BY manager
UNION ALL
SELECT 'presence', manager, ['state', state], 1
FROM (
    SELECT * FROM events WHERE type = 'manager.presence'
    QUALIFY row_number() OVER (PARTITION BY manager ORDER BY at_ms DESC, id DESC) = 1
);

INSERT INTO answers
WITH lengths AS (
    SELECT *, ended - began AS length, day = today AS is_todays FROM runs
)
SELECT 'work_block_seconds', manager, [], coalesce(max(length) FILTER (is_current), 0) / 1000
FROM managers LEFT JOIN lengths USING (manager) GROUP BY manager
UNION ALL
SELECT
    'work_blocks', manager, ['window', 'today'],
    count_if(coalesce(is_todays AND length >= getvariable('work_block_ms'), false))
FROM managers LEFT JOIN lengths USING (manager) GROUP BY manager
UNION ALL
SELECT
    'breaks_missed', manager, ['window', 'today'],
    coalesce(sum(length // getvariable('break_after_ms')) FILTER (is_todays), 0)
FROM managers LEFT JOIN lengths USING (manager) GROUP BY manager;
