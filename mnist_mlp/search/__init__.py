"""Searches for a configuration."""
