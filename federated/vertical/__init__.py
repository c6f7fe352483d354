"""Training where parties hold different columns of the same properties: ids matched in secret, then a net in parts."""
