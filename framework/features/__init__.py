"""Columns made of others where they pay: ratios, products, and mean answers told out of fold."""
