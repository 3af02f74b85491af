-- What is known of each lead, links applied: its legs, the notes on them, the standing of its deals.
-- In: crm_records(timestamp_ms, "partition", "offset", value), finished, ranks(stage, rank). Out: people, homes, legs,
-- noted, deals, reached, touches, leads.

CREATE TABLE crm AS
SELECT
    row_number() OVER (ORDER BY timestamp_ms, "partition", "offset") AS arrival,
    event.* EXCLUDE ("at"),
    event."at" AS at_ms
FROM (
    SELECT
        timestamp_ms,
        "partition",
        "offset",
        json_transform(value, '{
            "type": "VARCHAR", "id": "VARCHAR", "at": "BIGINT", "source": "VARCHAR", "lead": "VARCHAR", "manager": "VARCHAR",
            "call": "VARCHAR", "kind": "VARCHAR", "stages": ["VARCHAR"], "reason": "VARCHAR", "revision": "BIGINT",
            "next_step": {"agreed": "BOOLEAN", "due_at": "BIGINT"},
            "deal": "VARCHAR", "stage": "VARCHAR", "amount": "VARCHAR", "currency": "VARCHAR", "product": "VARCHAR",
            "channel": "VARCHAR", "client_type": "VARCHAR", "old_key": "VARCHAR"
        }') AS event
    FROM crm_records
);

-- Everyone whom an event may credit, and where they live.
CREATE TABLE people AS
SELECT manager, coalesce(zone, getvariable('default_zone')) AS zone
FROM (SELECT manager FROM managers UNION SELECT manager FROM crm WHERE manager IS NOT NULL)
LEFT JOIN roster USING (manager);

-- -- Links: the first that is told of an old key holds.

CREATE TABLE links AS
SELECT old_key AS key, lead AS next_key FROM crm WHERE type = 'lead.linked'
QUALIFY row_number() OVER (PARTITION BY old_key ORDER BY arrival) = 1;

-- Keys that link in a circle have no home that all agree on; a key is followed eight times at most.
CREATE TABLE homes AS
WITH RECURSIVE keys AS (
    SELECT lead AS key FROM crm UNION SELECT key FROM links UNION SELECT lead FROM finished WHERE lead IS NOT NULL
),
walk AS (
    SELECT key, key AS home, 0 AS hops FROM keys
    UNION ALL
    SELECT walk.key, next_key, hops + 1 FROM walk JOIN links ON links.key = home WHERE hops < 8
)
SELECT key, home AS lead FROM walk
QUALIFY row_number() OVER (PARTITION BY key ORDER BY hops DESC) = 1;

CREATE TABLE said AS
SELECT crm.* REPLACE (homes.lead AS lead) FROM crm JOIN homes ON homes.key = crm.lead;

-- -- Legs and the notes on them

CREATE TABLE legs AS
SELECT
    homes.lead, call, manager, zone, day, at_ms, started_at, kind, is_dial, is_answered,
    if(is_talked, talk_ms, NULL) AS talk_ms,
    coalesce(is_talked AND talk_ms >= getvariable('conversation_ms'), false) AS is_conversation,
    row_number() OVER (PARTITION BY homes.lead ORDER BY started_at, call, manager) AS place
FROM finished JOIN homes ON homes.key = finished.lead JOIN people USING (manager);

CREATE TABLE noted AS
WITH best AS (
    SELECT * FROM said WHERE type = 'call.annotated'
    QUALIFY row_number() OVER (PARTITION BY lead, call ORDER BY coalesce(revision, 0) DESC, at_ms DESC, id DESC) = 1
),
-- A note is of its manager's leg of the call; where it names nobody, of the leg that began last.
placed AS (
    SELECT best.* EXCLUDE (manager), legs.manager
    FROM best JOIN legs USING (lead, call)
    WHERE coalesce(best.manager = legs.manager, true)
    QUALIFY row_number() OVER (PARTITION BY lead, call ORDER BY started_at DESC, legs.manager DESC) = 1
)
SELECT
    legs.* EXCLUDE (kind),
    if(legs.kind = 'unknown', coalesce(placed.kind, 'unknown'), legs.kind) AS kind,
    list_transform(coalesce(stages, []), lambda stage: lower(trim(stage))) AS stages,
    reason,
    coalesce(next_step.agreed, false) AS is_agreed,
    if(next_step.agreed, next_step.due_at, NULL) AS due_at
FROM legs LEFT JOIN placed USING (lead, call, manager);

-- A stage is new in the first leg whose note has it.
CREATE TABLE moves AS
WITH stated AS (
    SELECT DISTINCT lead, call, manager, day, at_ms, ranks.stage, ranks.rank
    FROM (SELECT * EXCLUDE (stages), unnest(stages) AS stage FROM noted) JOIN ranks USING (stage)
)
SELECT * FROM stated
QUALIFY row_number() OVER (PARTITION BY lead, stage ORDER BY at_ms, call, manager) = 1;

-- -- Deals

CREATE MACRO amount_of(text) AS CASE
    WHEN regexp_full_match(text, '-?[0-9]+([.][0-9]*)?') THEN text
    WHEN regexp_full_match(text, '[0-9]{1,3}( [0-9]{3})*,[0-9]{1,2}') THEN replace(replace(text, ' ', ''), ',', '.')
END;
-- What names no currency is none in which an amount counts; an empty text says nothing.
CREATE MACRO currency_of(text) AS CASE
    WHEN trim(text) = '' THEN NULL
    WHEN regexp_full_match(upper(trim(text)), '[A-Z]{3}') THEN upper(trim(text))
    ELSE 'other'
END;

-- A deal is what one source calls by one id, whatever leads its events name: from here on `deal` stands for both.
CREATE TABLE every_change AS
WITH once AS (
    SELECT * REPLACE (
        lower(trim(stage)) AS stage, amount_of(amount) AS amount, if(currency IS NULL, NULL, currency_of(currency)) AS currency,
        to_json([source, deal])::VARCHAR AS deal
    )
    FROM said WHERE type IN ('deal.stage_changed', 'deal.deleted')
    QUALIFY row_number() OVER (PARTITION BY source, deal, id ORDER BY arrival) = 1
),
placed AS (
    SELECT
        once.* REPLACE (CASE
            WHEN type = 'deal.deleted' THEN 'deleted' ELSE coalesce(ranks.stage, if(once.stage = 'lost', 'lost', 'other'))
        END AS stage),
        rank,
        -- At the same moment the later stage is the later change: lost comes last, an unknown stage first.
        row_number() OVER (
            PARTITION BY deal
            ORDER BY at_ms, CASE
                WHEN type = 'deal.deleted' THEN 2000 WHEN once.stage = 'lost' THEN 1000 ELSE coalesce(rank, -1)
            END, id
        ) AS place
    FROM once LEFT JOIN ranks USING (stage)
)
-- It is the lead's whom its last change of stage names; nobody's if it is only known to be deleted.
SELECT placed.* REPLACE (holder AS lead)
FROM placed JOIN (
    SELECT deal, arg_max(lead, place) AS holder FROM placed WHERE type <> 'deal.deleted' GROUP BY deal
) USING (deal);

-- A deal whose newest change is its deletion is none; one that is changed after it is as it was.
CREATE TABLE changes AS
SELECT * FROM every_change
WHERE type <> 'deal.deleted' AND (lead, deal) NOT IN (
    SELECT (lead, deal) FROM every_change GROUP BY lead, deal HAVING arg_max(type, place) = 'deal.deleted'
);

-- A rank is reached at the first change to it or beyond it, after the last change that took it back.
CREATE TABLE reached AS
WITH taken_back AS (
    SELECT changes.lead, deal, ranks.rank, max(place) AS place
    FROM changes JOIN ranks ON changes.rank < ranks.rank GROUP BY ALL
)
SELECT changes.lead, changes.deal, ranks.rank, min(changes.at_ms) AS at_ms
FROM changes JOIN ranks ON changes.rank >= ranks.rank
LEFT JOIN taken_back AS back ON back.lead = changes.lead AND back.deal = changes.deal AND back.rank = ranks.rank
WHERE changes.place > coalesce(back.place, 0)
GROUP BY ALL;

CREATE TABLE deals AS
WITH newest AS (
    SELECT
        lead, deal,
        max(place) AS place,
        max(at_ms) AS at_ms,
        arg_max(id, place) AS id,
        arg_max(stage, place) AS stage,
        arg_max(manager, place) FILTER (manager IS NOT NULL) AS manager,
        arg_max(amount, place) FILTER (amount IS NOT NULL) AS amount,
        arg_max(currency, place) FILTER (currency IS NOT NULL) AS currency,
        coalesce(arg_max(product, place) FILTER (product IS NOT NULL), 'none') AS product,
        coalesce(arg_max(client_type, place) FILTER (client_type IS NOT NULL), 'none') AS client_type,
        coalesce(arg_max(channel, place) FILTER (channel IS NOT NULL), 'none') AS channel
    FROM changes GROUP BY lead, deal
),
before_run AS (
    SELECT lead, deal, max(changes.place) AS place
    FROM changes JOIN newest USING (lead, deal) WHERE changes.stage <> newest.stage GROUP BY lead, deal
)
SELECT
    newest.* REPLACE (CAST(amount AS DECIMAL(38, 6)) AS amount),
    newest.stage IN ('won', 'lost') AS is_closed,
    (
        SELECT min(changes.at_ms) FROM changes
        WHERE changes.lead = newest.lead AND changes.deal = newest.deal AND changes.place > coalesce(before_run.place, 0)
    ) AS since
FROM newest LEFT JOIN before_run USING (lead, deal);

CREATE TABLE touches AS
SELECT * FROM said WHERE type = 'activity.logged'
QUALIFY row_number() OVER (PARTITION BY lead, id ORDER BY arrival) = 1;

-- -- The lead as a whole

CREATE TABLE leads AS
WITH owners AS (
    SELECT lead, manager AS owner, zone FROM legs QUALIFY row_number() OVER (PARTITION BY lead ORDER BY place DESC) = 1
),
first_legs AS (
    SELECT lead, day AS first_day, at_ms AS first_at, kind AS first_kind FROM noted WHERE place = 1
),
-- The deal that speaks for the lead: the one that changed last, of those that are open if any is.
speaking AS (
    SELECT lead, deal, stage, since, product, client_type, channel, NOT is_closed AS is_open
    FROM deals
    QUALIFY row_number() OVER (PARTITION BY lead ORDER BY is_closed, at_ms DESC, id DESC, deal DESC) = 1
),
progress AS (
    SELECT lead, max(at_ms) AS progress_at
    FROM (
        SELECT lead, at_ms FROM noted WHERE is_agreed
        UNION ALL SELECT lead, at_ms FROM moves
        UNION ALL SELECT lead, at_ms FROM reached
    )
    GROUP BY lead
),
consulted AS (
    SELECT lead, max(at_ms) AS consulted_at FROM said WHERE type = 'lead.consulted' GROUP BY lead
),
sums AS (
    SELECT
        lead,
        max(day) AS newest_day,
        count_if(is_dial) AS attempts,
        count_if(is_conversation AND at_ms > coalesce(progress_at, 0)) AS without_progress,
        count_if(
            is_conversation AND at_ms > greatest(coalesce(progress_at, 0), coalesce(consulted_at, 0))
        ) AS since_help
    FROM legs LEFT JOIN progress USING (lead) LEFT JOIN consulted USING (lead)
    GROUP BY lead
)
SELECT
    lead, owner, zone, first_day, first_kind, newest_day, attempts, without_progress,
    coalesce(is_open, true) AS is_open,
    coalesce(is_open, true) AND since_help >= getvariable('mentor_after') AS is_due,
    coalesce(is_open, true) AND without_progress >= getvariable('stuck_after') AS is_stuck,
    deal,
    coalesce(stage, 'none') AS stage,
    coalesce(since, first_at) AS since,
    if(since IS NULL, first_day, local_day(zone, since)) AS since_day,
    coalesce(product, 'none') AS product,
    coalesce(client_type, 'none') AS client_type,
    coalesce(channel, 'none') AS channel
FROM owners JOIN first_legs USING (lead) JOIN sums USING (lead) LEFT JOIN speaking USING (lead);
