"""Silos on machines of their own: they dial out to a coordinator over mutual TLS, and run the simulation's code."""
