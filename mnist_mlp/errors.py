"""What a user did or has that cannot work."""


class Problem(Exception):
    """One line for the user: what is wrong, where, and what would be right. The command ends with status 2."""
