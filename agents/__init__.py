"""The shell of callpulse: the only code that touches Faust, Kafka, HTTP and the clock."""
