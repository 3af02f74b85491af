-- What the leads mean for the managers: claims(manager, measure, day, n).
-- In: what crm.sql leaves. Days are those of the manager who is credited, but for legs: those have their own.

CREATE TABLE claims (manager VARCHAR, measure VARCHAR, day BIGINT, n HUGEINT);

-- -- To the manager whose lead it is

INSERT INTO claims
SELECT owner, unnest(measures), newest_day, 1
FROM (
    SELECT *, list_filter([
        if(is_open AND without_progress > 0, 'streak:' || if(without_progress < 5, without_progress::VARCHAR, '5+'), NULL),
        if(is_due, 'mentor', NULL),
        if(is_stuck, 'stuck', NULL),
        if(is_open, 'stage:' || stage, NULL)
    ], lambda measure: measure IS NOT NULL) AS measures
    FROM leads
)
UNION ALL SELECT owner, 'since:' || stage, newest_day, since_day FROM leads WHERE is_open
UNION ALL SELECT owner, 'given:' || first_kind, first_day, 1 FROM leads;

INSERT INTO claims
WITH of_notes AS (
    SELECT noted.lead, step.stage, min(noted.at_ms) AS at_ms
    FROM (SELECT lead, at_ms, unnest(stages) AS stage FROM noted) AS noted
    JOIN ranks AS had USING (stage)
    JOIN ranks AS step ON had.rank >= step.rank AND step.stage IN ('presentation', 'proposal')
    GROUP BY ALL
),
of_deals AS (
    SELECT lead, stage, min(at_ms) AS at_ms
    FROM reached JOIN ranks USING (rank) WHERE stage IN ('presentation', 'proposal', 'won') GROUP BY ALL
),
steps AS (
    SELECT lead, stage, min(at_ms) AS at_ms FROM (FROM of_notes UNION ALL FROM of_deals) GROUP BY ALL
),
calls AS (
    SELECT lead, 'call' AS stage, min(at_ms) AS at_ms
    FROM (
        SELECT lead, at_ms FROM legs WHERE is_conversation
        UNION ALL SELECT lead, at_ms FROM steps WHERE stage = 'presentation'
    )
    GROUP BY ALL
)
SELECT owner, 'reach:' || steps.stage, local_day(zone, at_ms), 1
FROM (FROM steps UNION ALL FROM calls) AS steps JOIN leads USING (lead);

-- -- To the manager of the leg

CREATE TABLE speaking AS
SELECT noted.*, product, client_type, channel, first_kind,
    list_contains(noted.stages, 'presentation') AS has_presentation,
    list_contains(noted.stages, 'proposal') AS has_proposal
FROM noted JOIN leads USING (lead);

INSERT INTO claims
SELECT manager, unnest(measures), day, 1
FROM (
    SELECT manager, day, list_filter([
        if(is_answered, 'answered:' || kind, NULL),
        if(is_answered AND has_presentation, 'presented:' || kind, NULL),
        if(is_answered AND has_proposal, 'proposed', NULL),
        if(is_answered AND has_proposal, 'proposed@product=' || product, NULL),
        if(is_answered AND has_proposal, 'proposed@client_type=' || client_type, NULL),
        if(is_answered AND has_proposal, 'proposed@channel=' || channel, NULL),
        if(is_answered AND has_proposal, 'proposed@first_kind=' || first_kind, NULL),
        if(is_conversation, 'talks', NULL),
        if(is_conversation AND is_agreed, 'agreed', NULL),
        if(
            is_dial AND (
                local_minute(zone, started_at) < getvariable('permitted_from_minute')
                OR local_minute(zone, started_at) >= getvariable('permitted_to_minute')
            ),
            'off_hours', NULL
        )
    ], lambda measure: measure IS NOT NULL) AS measures
    FROM speaking
)
UNION ALL SELECT manager, 'moves', day, 1 FROM moves;

-- Why it was called again, and how far its deals had come by then.
INSERT INTO claims
WITH newest AS (
    SELECT noted.lead, noted.call, noted.manager, changes.* EXCLUDE (lead, call, manager)
    FROM noted JOIN changes ON changes.lead = noted.lead AND changes.at_ms <= noted.at_ms
    QUALIFY row_number() OVER (PARTITION BY noted.lead, noted.call, noted.manager, deal ORDER BY changes.place DESC) = 1
),
stood AS (
    SELECT lead, call, manager, arg_max(stage, (at_ms, id, deal)) AS stage FROM newest GROUP BY ALL
)
SELECT
    manager,
    'reason:' || if(reason IN (SELECT reason FROM reasons), reason, 'other') || '@' || coalesce(stage, 'none'),
    day,
    1
FROM noted LEFT JOIN stood USING (lead, call, manager) WHERE reason IS NOT NULL;

-- Promises: what was agreed to happen is done by a call, or by an activity, before that day is over.
INSERT INTO claims
WITH promises AS (
    SELECT *, local_day(zone, due_at) AS due_day, row_number() OVER () AS promise
    FROM noted WHERE due_at >= at_ms AND due_at <= at_ms + 400 * 86400000::BIGINT
),
kept AS (
    SELECT promise
    FROM promises JOIN legs ON
        legs.lead = promises.lead AND (legs.is_dial OR legs.is_answered) AND legs.started_at > promises.at_ms
        AND local_day(promises.zone, legs.started_at) <= due_day
    UNION
    SELECT promise
    FROM promises JOIN touches ON
        touches.lead = promises.lead AND touches.at_ms > promises.at_ms
        AND local_day(promises.zone, touches.at_ms) <= due_day
)
SELECT manager, 'due', due_day, 1 FROM promises
UNION ALL SELECT manager, 'kept', due_day, 1 FROM promises SEMI JOIN kept USING (promise);

-- -- To the manager of the deal, and of the activity

INSERT INTO claims
WITH credited AS (
    SELECT
        deals.*, coalesce(deals.manager, owner) AS credited, coalesce(first_kind, 'none') AS first_kind,
        owner IS NOT NULL AS has_legs
    FROM deals LEFT JOIN leads USING (lead)
),
dated AS (
    SELECT credited.*, local_day(people.zone, since) AS day
    FROM credited JOIN people ON people.manager = credited
),
won AS (
    SELECT
        dated.*,
        currency IN (SELECT currency FROM currencies) AND abs(amount) <= 1000000000000
            AS has_amount,
        CAST(amount * 1000 AS HUGEINT) AS thousandths,
        (SELECT count(*) FROM legs WHERE legs.lead = dated.lead AND started_at <= since) AS calls,
        (SELECT arg_min(talk_ms, place) FROM legs WHERE legs.lead = dated.lead AND talk_ms IS NOT NULL) AS talk_ms
    FROM dated WHERE stage = 'won'
)
SELECT credited, 'won', day, 1 FROM won
UNION ALL SELECT credited, 'won@product=' || product, day, 1 FROM won
UNION ALL SELECT credited, 'won@client_type=' || client_type, day, 1 FROM won
UNION ALL SELECT credited, 'won@channel=' || channel, day, 1 FROM won
UNION ALL SELECT credited, 'won@first_kind=' || first_kind, day, 1 FROM won
UNION ALL SELECT credited, 'amount:' || currency, day, thousandths FROM won WHERE has_amount
UNION ALL SELECT credited, 'amounts:' || currency, day, 1 FROM won WHERE has_amount
UNION ALL SELECT credited, 'amount@channel=' || channel || ':' || currency, day, thousandths FROM won WHERE has_amount
UNION ALL SELECT credited, 'win_calls', day, calls FROM won WHERE has_legs
UNION ALL SELECT credited, 'win_leads', day, 1 FROM won WHERE has_legs
UNION ALL SELECT credited, 'win_talk', day, talk_ms FROM won WHERE talk_ms IS NOT NULL
UNION ALL SELECT credited, 'win_talked', day, 1 FROM won WHERE talk_ms IS NOT NULL
UNION ALL SELECT credited, 'lost', day, 1 FROM dated WHERE stage = 'lost';

INSERT INTO claims
SELECT people.manager, 'touch:' || touches.channel, local_day(people.zone, at_ms), 1
FROM touches LEFT JOIN leads USING (lead) JOIN people ON people.manager = coalesce(touches.manager, owner);
