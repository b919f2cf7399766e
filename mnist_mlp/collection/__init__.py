"""The runs that a class hands in: whose they are, what is missing, what to look at. Runs no code of students."""
