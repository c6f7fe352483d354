"""Differential privacy: what noisy answers cost together, who keeps count, and training by noisy steps."""
