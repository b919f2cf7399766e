"""The command line; nobody's library."""
