"""Curves: test accuracy and time against a setting, each from one command."""
