"""The command line: a module for each verb. Nothing else imports from here."""
