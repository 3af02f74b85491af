-- What the last eight weeks let expect of the hour up to now, and of the day so far.
-- In: means, managers, sums (what the last hour held). Out: more rows of answers.

-- The quarters of an hour up to now, each with the hour that the clock shows in it: the last hour, and today so far.
-- Where clocks change, an hour is repeated or skipped; it counts as long as it lasts.
CREATE OR REPLACE TABLE clocks AS
WITH quarters AS (
    SELECT
        manager, today, zone, quarter * 900000 AS begins,
        least((quarter + 1) * 900000, getvariable('now_ms')) AS ends
    FROM managers, range(getvariable('now_ms') // 900000 - 26 * 4, getvariable('now_ms') // 900000 + 1) AS _(quarter)
)
SELECT
    manager,
    local_day(zone, begins) = today AS is_todays,
    if(is_todays, hour(local_time(zone, begins)), -1) AS hour,
    (ends - begins) / 3600000 AS in_today,
    greatest(ends - greatest(begins, getvariable('now_ms') - 3600000), 0) / 3600000 AS in_1h
FROM quarters;

CREATE OR REPLACE TABLE expectations AS
WITH days AS (SELECT manager, n FROM means WHERE hour = 0),
known AS (
    SELECT
        manager,
        sum(in_1h * calls) AS calls,
        sum(in_1h * calls_var) AS calls_var,
        sum(in_1h * talk) AS talk,
        sum(in_1h * talk_var) AS talk_var,
        sum(in_today * calls) FILTER (is_todays) AS calls_today
    FROM clocks JOIN means USING (manager, hour)
    GROUP BY manager
)
SELECT known.*, n, sums.inbound + sums.outbound AS actual_calls, sums.talk_ms / 1000 AS actual_talk
FROM known JOIN days USING (manager) JOIN sums USING (manager) WHERE sums."window" = '1h';

INSERT INTO answers
SELECT 'expected_calls', manager, ['window', '1h'], calls FROM expectations
UNION ALL SELECT 'expected_calls', manager, ['window', 'today'], calls_today FROM expectations
UNION ALL SELECT 'expected_talk_seconds', manager, ['window', '1h'], talk FROM expectations
UNION ALL
SELECT
    'calls_zscore', manager, ['window', '1h'],
    (actual_calls - calls) / sqrt(calls_var + if(calls = 0, 1, calls))
FROM expectations WHERE n >= 2
UNION ALL
SELECT 'talk_zscore', manager, ['window', '1h'], (actual_talk - talk) / sqrt(talk_var + 3600)
FROM expectations WHERE n >= 2
UNION ALL
SELECT 'expectation_days', manager, [], coalesce(n, 0) FROM managers LEFT JOIN expectations USING (manager);
