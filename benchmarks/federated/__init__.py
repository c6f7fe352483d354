"""Federations of silos, measured: a round's time beside Flower's and TFF's, start-up, a thousand silos, liars."""
