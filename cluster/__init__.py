"""Where code runs. Knows Ray; knows nothing of learning."""
