-- The manager's own last eight weeks: what each hour of today's weekday was like, and the weekdays.
-- In: finished, managers, people. Out: means, weekdays.

CREATE TABLE days_of AS
SELECT manager, day, isodow(DATE '1970-01-01' + day::INT) AS weekday, count(*) AS calls,
    coalesce(sum(talk_ms) FILTER (is_talked), 0) / 1000 AS talk
FROM finished GROUP BY ALL;

CREATE TABLE hours_of AS
SELECT
    manager, day, hour(local_time(zone, at_ms)) AS hour, count(*) AS calls,
    coalesce(sum(talk_ms) FILTER (is_talked), 0) / 1000 AS talk
FROM finished JOIN people USING (manager) GROUP BY ALL;

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

CREATE TABLE weekdays AS
SELECT manager, ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'][weekday] AS weekday, count(*) AS days,
    sum(calls) AS calls, sum(talk) AS talk
FROM days_of JOIN managers USING (manager)
WHERE day BETWEEN today - 56 AND today - 1
GROUP BY ALL;
