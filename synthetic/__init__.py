"""Rows that were never observed."""
