"""Which version answers a request: splits, shadows and canaries; one conducts them, every replica follows."""
