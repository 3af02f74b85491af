-- How often leads were called, per manager who has the lead; of those by calls, the open ones.
-- In: legs, leads (of crm.sql), managers. Out: more rows of answers.

-- Days are those of each leg's own manager; the window is that of the manager who has the lead.
CREATE TABLE called AS
SELECT
    owner AS manager,
    lead,
    is_open,
    count_if(day >= today - 29) AS calls,
    count_if(day = today AND is_dial) AS dials_today
FROM leads JOIN managers ON manager = owner JOIN legs USING (lead)
GROUP BY ALL;

INSERT INTO answers
WITH steps AS (SELECT unnest([1, 2, 3, 4, 5]) AS step, unnest(['1', '2', '3', '4', '5+']) AS label)
SELECT 'open_leads_by_calls', managers.manager, ['calls', label], count(lead)
FROM managers CROSS JOIN steps LEFT JOIN called
    ON called.manager = managers.manager AND called.is_open AND least(called.calls, 5) = step
GROUP BY managers.manager, label
UNION ALL
SELECT 'calls_per_lead', manager, ['window', '30d'], sum(calls) / count(*)
FROM called WHERE is_open AND calls > 0 GROUP BY manager
UNION ALL
SELECT
    'leads_over_called', manager, ['window', 'today'],
    count_if(coalesce(dials_today > getvariable('dials_a_day'), false))
FROM managers LEFT JOIN called USING (manager) GROUP BY manager;
