-- What the manager's own last eight weeks let expect of this hour and of this day, and the weekdays of eight weeks.
-- In: finished, managers, sums (what the last hour held). Out: more rows of answers, weekdays.

CREATE TABLE days_of AS
SELECT manager, day, isodow(DATE '1970-01-01' + day::INT) AS weekday, count(*) AS calls,
    coalesce(sum(talk_ms) FILTER (is_talked), 0) / 1000 AS talk
FROM finished GROUP BY ALL;

CREATE TABLE hours_of AS
SELECT
    manager, day, hour(local_time(zone, at_ms)) AS hour, count(*) AS calls,
    coalesce(sum(talk_ms) FILTER (is_talked), 0) / 1000 AS talk
FROM finished JOIN people USING (manager) GROUP BY ALL;

-- The quarters of an hour up to now, each with the hour that the clock shows in it: the last hour, and today so far.
-- Where clocks change, an hour is repeated or skipped; it counts as long as it lasts.
CREATE TABLE clocks AS
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

-- Of today's weekday every hour; and, as hour -1, the last one of yesterday's weekday.
CREATE TABLE wanted AS
SELECT manager, today - 7 * week AS day, hours.hour, hours.hour AS of_hour
FROM managers, range(1, 9) AS weeks(week), range(0, 24) AS hours(hour)
UNION ALL
SELECT manager, today - 1 - 7 * (week - 1), 23, -1 FROM managers, range(1, 9) AS weeks(week);

CREATE TABLE means AS
SELECT
    manager, of_hour AS hour, count(*) AS n,
    avg(coalesce(hours_of.calls, 0)) AS calls, coalesce(var_samp(coalesce(hours_of.calls, 0)), 0) AS calls_var,
    avg(coalesce(hours_of.talk, 0)) AS talk, coalesce(var_samp(coalesce(hours_of.talk, 0)), 0) AS talk_var
FROM wanted SEMI JOIN days_of USING (manager, day) LEFT JOIN hours_of USING (manager, day, hour)
GROUP BY manager, of_hour;

CREATE TABLE expectations AS
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

CREATE TABLE weekdays AS
SELECT manager, ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'][weekday] AS weekday, count(*) AS days,
    sum(calls) AS calls, sum(talk) AS talk
FROM days_of JOIN managers USING (manager)
WHERE day BETWEEN today - 56 AND today - 1
GROUP BY ALL;
