-- One round of: who handed which call to whom. Repeated until nothing changes, because a call can be handed on.
-- In: events, derived (what the round before found). Out: known, derived_next.

-- What is known of a leg's beginning: its earliest start or, where no start is known, what its best end says of it.
CREATE OR REPLACE TABLE known AS
WITH starts AS (
    SELECT manager, call, at_ms AS started_at, id, direction, kind, lead, is_internal, arrival
    FROM events WHERE type = 'call.started'
    UNION ALL
    SELECT manager, call, at_ms, id, direction, kind, lead, is_internal, 0 FROM derived
),
first_starts AS (
    SELECT *, true AS has_start FROM starts
    QUALIFY row_number() OVER (PARTITION BY manager, call ORDER BY started_at, id) = 1
),
best_ends AS (
    SELECT manager, call, started_at, id, direction, kind, lead, is_internal, arrival, false AS has_start
    FROM events WHERE type = 'call.ended'
    QUALIFY row_number() OVER (
        PARTITION BY manager, call
        ORDER BY
            ended_by <> 'timeout' DESC, NOT is_uncertain DESC, ended_by = 'hangup' DESC,
            disposition = 'answered' DESC, at_ms DESC, id DESC
    ) = 1
)
SELECT * FROM first_starts
UNION ALL
SELECT * FROM best_ends ANTI JOIN first_starts USING (manager, call);

CREATE OR REPLACE TABLE derived_next AS
SELECT
    transfer.to_manager AS manager,
    transfer.call,
    transfer.at_ms,
    'transfer:' || transfer.id AS id,
    known.direction,
    known.kind,
    known.lead,
    known.is_internal,
    transfer.how = 'attended' AS is_answered
FROM events AS transfer JOIN known USING (manager, call)
WHERE transfer.type = 'call.transferred' AND transfer.to_manager <> transfer.manager;
