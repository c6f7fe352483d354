"""Synthetic rows over HTTP: POST /api/v1/data/synthetic on the serving application."""
