"""What competes. One engine a file; each a frozen dataclass whose fields are its hyperparameters."""
