"""The pure part of callpulse: events, tables and figures, without Kafka, HTTP or a clock."""
