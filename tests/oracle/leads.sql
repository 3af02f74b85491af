-- What the finished legs say of leads, per manager who has the lead.
-- In: finished, ends, managers. Out: more rows of answers.

-- The lead is with the manager of the latest leg that was ever told of it, even one that better knowledge took back:
-- an end that was the best when it came, or a transfer that came before the leg's own end.
CREATE TABLE owners AS
WITH ranked AS (
    SELECT *, {'rank': rank, 'is_answered': disposition = 'answered', 'at': at_ms, 'id': id} AS worth FROM ends
),
told_ends AS (
    SELECT * FROM ranked
    QUALIFY coalesce(worth > max(worth) OVER (
        PARTITION BY manager, call ORDER BY arrival, worth ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ), true)
)
SELECT lead, manager, today FROM told_ends JOIN managers USING (manager)
WHERE lead IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY lead ORDER BY started_at DESC, call DESC, manager DESC) = 1;

-- Days are those of each leg's own manager; the window is that of the manager who has the lead.
CREATE TABLE leads AS
SELECT
    owners.manager,
    lead,
    count_if(day >= owners.today - 29) AS calls,
    count_if(
        day >= owners.today - 29 AND is_talked AND talk_ms >= getvariable('conversation_ms')
    ) AS conversations,
    count_if(day = owners.today AND is_dial) AS dials_today
FROM owners JOIN finished USING (lead)
GROUP BY ALL;

INSERT INTO answers
WITH steps AS (SELECT unnest([1, 2, 3, 4, 5]) AS step, unnest(['1', '2', '3', '4', '5+']) AS label)
SELECT 'open_leads_by_calls', managers.manager, ['calls', label], count(lead)
FROM managers CROSS JOIN steps LEFT JOIN leads
    ON leads.manager = managers.manager AND least(leads.calls, 5) = step
GROUP BY managers.manager, label
UNION ALL
SELECT 'open_leads_by_conversations', managers.manager, ['conversations', label], count(lead)
FROM managers CROSS JOIN steps LEFT JOIN leads
    ON leads.manager = managers.manager AND least(leads.conversations, 5) = step
GROUP BY managers.manager, label
UNION ALL
SELECT 'calls_per_lead', manager, ['window', '30d'], sum(calls) / count(*)
FROM leads WHERE calls > 0 GROUP BY manager
UNION ALL
SELECT
    'leads_over_called', manager, ['window', 'today'],
    count_if(coalesce(dials_today > getvariable('dials_a_day'), false))
FROM managers LEFT JOIN leads USING (manager) GROUP BY manager;
