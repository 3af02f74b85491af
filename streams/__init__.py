"""What flows through callpulse and what it means: pure code, without Kafka, HTTP or a clock."""
