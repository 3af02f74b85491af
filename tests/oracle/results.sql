-- From claims to what the metrics of a manager show: more rows of answers.
-- In: claims, managers, finished, plans(manager, plan_deals), ranks, reasons, costs(channel, cost), leads.

CREATE TABLE lookbacks AS
SELECT unnest(['today', '7d', '30d', '90d', 'previous']) AS "window", unnest([0, 6, 29, 89, 179]) AS first,
    unnest([NULL, NULL, NULL, NULL, 90]) AS last;

-- What is claimed for a day to come counts today, but for promises: these are due on their day.
CREATE TABLE totals AS
WITH summed AS (
    SELECT manager, measure || '|' || "window" AS name, sum(n) AS n
    FROM claims JOIN managers USING (manager) JOIN lookbacks
        ON day >= today - first AND (last IS NULL OR day <= today - last)
    WHERE measure NOT IN ('due', 'kept') OR day <= today
    GROUP BY ALL
),
legs_of AS (
    SELECT manager, 'legs|' || "window" AS name, count(*) AS n
    FROM finished JOIN lookbacks ON day BETWEEN today - first AND today - coalesce(last, 0)
    GROUP BY ALL
),
mapped AS (
    SELECT manager, map_from_entries(list((name, n::DOUBLE))) AS n FROM (FROM summed UNION ALL FROM legs_of) GROUP BY manager
)
SELECT manager, today, coalesce(n, MAP {}) AS n, plan_deals
FROM managers LEFT JOIN mapped USING (manager) LEFT JOIN plans USING (manager);

CREATE MACRO n_of(n, measure, span) AS coalesce(n[measure || '|' || span], 0);
CREATE MACRO ratio(part, whole) AS if(whole = 0, NULL, part / whole);
CREATE MACRO sum_of(n, prefix, span) AS coalesce(
    list_sum(list_transform(
        list_filter(map_entries(n), lambda entry: starts_with(entry.key, prefix) AND ends_with(entry.key, '|' || span)),
        lambda entry: entry.value
    )),
    0
);

CREATE TABLE results (name VARCHAR, manager VARCHAR, labels VARCHAR[], value DOUBLE);

INSERT INTO results
SELECT 'won_deals', manager, ['window', span], n_of(n, 'won', span)
FROM totals, unnest(['7d', '30d', '90d']) AS _(span)
UNION ALL
SELECT 'proposal_calls', manager, ['window', span], n_of(n, 'proposed', span)
FROM totals, unnest(['7d', '90d']) AS _(span)
UNION ALL
SELECT 'conversion_ratio', manager, ['window', span], ratio(n_of(n, 'won', span), n_of(n, 'proposed', span))
FROM totals, unnest(['7d', '30d', '90d']) AS _(span)
UNION ALL
SELECT
    'presentation_ratio', manager, ['window', '90d', 'kind', kind],
    ratio(n_of(n, 'presented:' || kind, '90d'), n_of(n, 'answered:' || kind, '90d'))
FROM totals, kinds WHERE kind <> 'unknown'
UNION ALL
SELECT
    'stage_moves_per_call', manager, ['window', '30d'],
    ratio(n_of(n, 'moves', '30d'), sum_of(n, 'answered:', '30d'))
FROM totals
UNION ALL
SELECT 'next_step_ratio', manager, ['window', '30d'], ratio(n_of(n, 'agreed', '30d'), n_of(n, 'talks', '30d')) FROM totals
UNION ALL
SELECT 'open_leads_by_conversations', manager, ['conversations', step], n_of(n, 'streak:' || step, '30d')
FROM totals, unnest(['1', '2', '3', '4', '5+']) AS _(step)
UNION ALL
SELECT 'leads_consultation_due', manager, [], n_of(n, 'mentor', '30d') FROM totals
UNION ALL
SELECT 'leads_stuck', manager, [], n_of(n, 'stuck', '30d') FROM totals
UNION ALL
SELECT 'leads_given', manager, ['window', '90d', 'kind', kind], n_of(n, 'given:' || kind, '90d') FROM totals, kinds
UNION ALL
SELECT
    'first_call_deal_ratio', manager, ['window', span],
    ratio(n_of(n, 'won', span), sum_of(n, 'given:', span))
FROM totals, unnest(['90d', 'previous']) AS _(span)
UNION ALL
SELECT
    'target_ratio', manager, [],
    coalesce(
        least(
            greatest(
                ratio(n_of(n, 'won', '90d'), sum_of(n, 'given:', '90d')) + getvariable('gain'), getvariable('floor')
            ),
            getvariable('cap')
        ),
        getvariable('floor')
    )
FROM totals
UNION ALL
SELECT 'calls_per_won_deal', manager, ['window', span], ratio(n_of(n, 'legs', span), n_of(n, 'won', span))
FROM totals, unnest(['90d', 'previous']) AS _(span)
UNION ALL
SELECT
    'plan_calls_per_day', manager, [], plan_deals * ratio(n_of(n, 'legs', '90d'), n_of(n, 'won', '90d')) / 21
FROM totals
UNION ALL
SELECT
    'cost_per_won_deal', manager, ['window', '90d'],
    ratio(
        (
            SELECT sum(cost * if(channel = 'call', n_of(n, 'legs', '90d'), n_of(n, 'touch:' || channel, '90d')))
            FROM costs
        ),
        n_of(n, 'won', '90d')
    )
FROM totals
UNION ALL
SELECT
    'mean_won_amount', manager, ['window', '90d', 'currency', getvariable('currency')],
    ratio(
        n_of(n, 'amount:' || getvariable('currency'), '90d') / 1000,
        n_of(n, 'amounts:' || getvariable('currency'), '90d')
    )
FROM totals
UNION ALL
SELECT
    'won_first_call_talk_seconds', manager, ['window', '90d'],
    ratio(n_of(n, 'win_talk', '90d') / 1000, n_of(n, 'win_talked', '90d'))
FROM totals
UNION ALL
SELECT
    'won_calls_per_deal', manager, ['window', '90d'], ratio(n_of(n, 'win_calls', '90d'), n_of(n, 'win_leads', '90d'))
FROM totals
UNION ALL
SELECT
    'follow_up_calls', manager, ['window', '30d', 'reason', reason], sum_of(n, 'reason:' || reason || '@', '30d')
FROM totals, (FROM reasons UNION ALL VALUES ('other'))
UNION ALL
SELECT 'next_steps_due', manager, ['window', '30d'], n_of(n, 'due', '30d') FROM totals
UNION ALL
SELECT 'next_steps_kept_ratio', manager, ['window', '30d'], ratio(n_of(n, 'kept', '30d'), n_of(n, 'due', '30d')) FROM totals
UNION ALL
SELECT 'calls_off_hours', manager, ['window', 'today'], n_of(n, 'off_hours', 'today') FROM totals;

-- Wilson's interval for a share, with the usual 1.96: https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval
INSERT INTO results
WITH shares AS (
    SELECT manager, n_of(n, 'proposed', '90d') AS tries, least(n_of(n, 'won', '90d'), tries) / tries AS share,
        1.96::DOUBLE AS z
    FROM totals WHERE n_of(n, 'proposed', '90d') > 0
),
bounds_of AS (
    SELECT
        manager,
        (share + z * z / (2 * tries)) / (1 + z * z / tries) AS middle,
        z * sqrt(share * (1 - share) / tries + z * z / (4 * tries * tries)) / (1 + z * z / tries) AS half
    FROM shares
)
SELECT 'conversion_ratio_lower', manager, ['window', '90d'], middle - half FROM bounds_of
UNION ALL SELECT 'conversion_ratio_upper', manager, ['window', '90d'], middle + half FROM bounds_of;

-- Stages of open leads: what is shown has none, or a stage before `won`; all else is `other`.
INSERT INTO results
WITH shown AS (SELECT 'none' AS stage UNION ALL SELECT stage FROM ranks WHERE stage <> 'won')
SELECT 'open_leads_by_stage', manager, ['stage', stage], n_of(n, 'stage:' || stage, '30d')
FROM totals, (FROM shown UNION ALL VALUES ('other'))
UNION ALL
SELECT
    'mean_stage_age_seconds', manager, ['stage', stage],
    (today - ratio(n_of(n, 'since:' || stage, '30d'), n_of(n, 'stage:' || stage, '30d'))) * 86400
FROM totals, shown;

-- The leads that need help most, as many as there are series for.
INSERT INTO results
SELECT 'lead_attention', owner, ['lead', lead, 'why', if(is_stuck, 'stuck', 'consultation')], without_progress
FROM leads JOIN managers ON owner = manager
WHERE (is_due OR is_stuck) AND newest_day > today - 30
QUALIFY row_number() OVER (
    PARTITION BY owner ORDER BY is_stuck DESC, without_progress DESC, since, lead
) <= getvariable('attention_series');

INSERT INTO answers SELECT * FROM results WHERE value IS NOT NULL;
