"""What attackers try on synthetic rows, each held against rows that were never learned from."""
