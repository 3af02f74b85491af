-- From accepted records to events that count: each once, and none that came too late.
-- In: records(partition, "offset", value), the accepted records of topic `calls`. Out: told, events.

CREATE TABLE told AS
SELECT "partition", "offset", event.* EXCLUDE ("at"), event."at" AS at_ms
FROM (
    SELECT
        "partition",
        "offset",
        json_transform(value, '{
            "type": "VARCHAR", "id": "VARCHAR", "source": "VARCHAR", "at": "BIGINT", "manager": "VARCHAR",
            "call": "VARCHAR", "lead": "VARCHAR", "direction": "VARCHAR", "kind": "VARCHAR",
            "to_manager": "VARCHAR", "how": "VARCHAR", "started_at": "BIGINT", "talk_ms": "BIGINT",
            "disposition": "VARCHAR", "ended_by": "VARCHAR", "state": "VARCHAR", "internal": "BOOLEAN",
            "uncertain": "BOOLEAN"
        }') AS event
    FROM records
);

CREATE TABLE events AS
WITH homes AS (
    SELECT manager, mode("partition") AS home FROM told GROUP BY manager
),
-- What callpulse itself added to the topic is concluded anew, below. A stray record is sent on to its manager's own
-- partition, so it arrives after the records that are there already, unless its copy is there too.
arrived AS (
    SELECT
        told.* EXCLUDE (ended_by, internal, lead, uncertain),
        coalesce(ended_by, 'hangup') AS ended_by,
        coalesce(uncertain, false) AND coalesce(ended_by, 'hangup') <> 'timeout' AS is_uncertain,
        coalesce(internal, false) AS is_internal,
        if(coalesce(internal, false), NULL, lead) AS lead,
        row_number() OVER (ORDER BY "partition" <> home, "partition", "offset") AS arrival
    FROM told JOIN homes USING (manager)
    WHERE source <> 'callpulse'
),
once AS (
    SELECT * FROM arrived
    QUALIFY row_number() OVER (PARTITION BY manager, id ORDER BY arrival) = 1
),
aged AS (
    SELECT
        *,
        coalesce(max(at_ms) OVER until_then - at_ms, 0) AS behind,
        type IN ('call.started', 'call.answered', 'call.transferred') AS is_progress
    FROM once
    WINDOW until_then AS (PARTITION BY manager ORDER BY arrival ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
),
judged AS (
    SELECT
        *,
        coalesce(
            bool_or(type IN ('call.started', 'call.answered') AND behind <= getvariable('retry_horizon_ms')) OVER earlier
            AND NOT bool_or(type IN ('call.ended', 'call.transferred')) OVER earlier,
            false
        ) AS leg_is_open
    FROM aged
    WINDOW earlier AS (
        PARTITION BY manager, call ORDER BY arrival ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
)
SELECT * EXCLUDE (behind, is_progress, leg_is_open)
FROM judged
WHERE
    behind <= getvariable('day_rows') * 86400000
    AND NOT (is_progress AND behind > getvariable('retry_horizon_ms') AND NOT leg_is_open);
