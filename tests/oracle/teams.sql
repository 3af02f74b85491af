-- What the managers of a team come to, partition by partition.
-- In: claims, finished, weekdays, members(manager, team, "partition"), listed(dimension, value, place), lookbacks.
-- Out: team_answers(name, labels, value). What is 0 may be left out.

CREATE TABLE team_sums AS
SELECT team, "partition", measure, "window", sum(n) AS n
FROM claims JOIN managers USING (manager) JOIN members USING (manager) JOIN lookbacks
    ON day >= today - first AND (last IS NULL OR day <= today - last)
WHERE measure NOT IN ('due', 'kept')
GROUP BY ALL;

CREATE TABLE team_answers (name VARCHAR, labels VARCHAR[], value DOUBLE);

-- Values of a dimension: those of the settings first, then the most frequent; beyond the limit they are `other`.
CREATE TABLE dimensioned AS
SELECT
    team, "partition", dimension, substr(measure, strpos(measure, '=') + 1) AS value,
    split_part(measure, '@', 1) AS of_what, n
FROM team_sums, unnest(['product', 'client_type', 'channel', 'first_kind']) AS _(dimension)
WHERE "window" = '90d' AND (
    starts_with(measure, 'won@' || dimension || '=') OR starts_with(measure, 'proposed@' || dimension || '=')
);

CREATE TABLE named AS
SELECT team, "partition", dimension, value
FROM dimensioned LEFT JOIN listed USING (dimension, value)
WHERE value <> 'other'
GROUP BY team, "partition", dimension, value
QUALIFY row_number() OVER (
    PARTITION BY team, "partition", dimension ORDER BY any_value(place) NULLS LAST, sum(n) DESC, value
) <= getvariable('max_values');

INSERT INTO team_answers
SELECT
    if(of_what = 'won', 'team_won_deals', 'team_proposal_calls'),
    ['team', team, 'partition', "partition", 'window', '90d', 'dimension', dimension, 'value', coalesce(named.value, 'other')],
    sum(n)
FROM dimensioned LEFT JOIN named USING (team, "partition", dimension, value)
GROUP BY of_what, team, "partition", dimension, coalesce(named.value, 'other');

INSERT INTO team_answers
WITH amounts AS (
    SELECT
        team, "partition", currencies.currency, n,
        substr(measure, 16, length(measure) - 15 - length(':' || currency)) AS value
    FROM team_sums JOIN currencies ON starts_with(measure, 'amount@channel=') AND ends_with(measure, ':' || currency)
    WHERE "window" = '90d'
)
SELECT
    'team_won_amount',
    [
        'team', team, 'partition', "partition", 'window', '90d', 'channel', coalesce(named.value, 'other'),
        'currency', currency
    ],
    sum(n) / 1000
FROM amounts LEFT JOIN (FROM named WHERE dimension = 'channel') AS named USING (team, "partition", value)
GROUP BY team, "partition", coalesce(named.value, 'other'), currency;

INSERT INTO team_answers
WITH touched AS (
    SELECT team, "partition", costs.channel, cost, sum(n) AS n
    FROM team_sums JOIN costs ON measure = 'touch:' || channel AND "window" = '90d' GROUP BY ALL
    UNION ALL
    SELECT team, "partition", 'call', cost, count(*)
    FROM finished JOIN members USING (manager) JOIN costs ON channel = 'call'
    WHERE day BETWEEN today - 89 AND today
    GROUP BY ALL
)
SELECT 'team_touches', ['team', team, 'partition', "partition", 'window', '90d', 'channel', channel], n FROM touched
UNION ALL
SELECT 'team_cost', ['team', team, 'partition', "partition", 'window', '90d', 'channel', channel], n * cost FROM touched;

INSERT INTO team_answers
SELECT
    'team_funnel_leads',
    ['team', team, 'partition', "partition", 'window', "window", 'step', substr(measure, length('reach:') + 1)],
    n
FROM team_sums WHERE starts_with(measure, 'reach:') AND "window" IN ('30d', '90d')
UNION ALL
SELECT
    'team_follow_up_calls',
    [
        'team', team, 'partition', "partition", 'window', '30d',
        'reason', substr(split_part(measure, '@', 1), length('reason:') + 1), 'stage', split_part(measure, '@', 2)
    ],
    n
FROM team_sums WHERE starts_with(measure, 'reason:') AND "window" = '30d';

INSERT INTO team_answers BY NAME
WITH days AS (
    SELECT
        team, "partition", weekday, sum(days) AS team_weekday_days, sum(calls) AS team_weekday_calls,
        sum(talk) AS team_weekday_talk_seconds
    FROM weekdays JOIN members USING (manager) GROUP BY ALL
)
UNPIVOT (
    SELECT ['team', team, 'partition', "partition", 'weekday', weekday] AS labels,
        CAST(columns(* EXCLUDE (team, "partition", weekday)) AS DOUBLE)
    FROM days
)
ON columns(* EXCLUDE (labels)) INTO NAME name VALUE value;
