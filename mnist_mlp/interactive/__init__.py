"""The Python interface: runs and sweeps as objects, for notebooks and scripts."""
