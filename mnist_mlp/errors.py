"""The exception for errors that the user can correct."""


class Problem(Exception):
    """An error that the user can correct: its message says what is wrong, where and why, and what would be right."""
