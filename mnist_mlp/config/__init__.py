"""What a run is: its keys, their checks and its identity. Free of torch."""
