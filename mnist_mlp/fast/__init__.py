"""Many optimizer steps at once."""
