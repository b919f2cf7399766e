"""The report of the ten questions. Free of torch."""
