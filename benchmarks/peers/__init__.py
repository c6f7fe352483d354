"""The best AutoML libraries on the same rows in the same seconds, each in an environment of its own.

Importing this package must stay light: its scripts run in interpreters that hold none of ours.
"""
