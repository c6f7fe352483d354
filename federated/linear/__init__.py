"""Ridge and logistic regression over silos, by sums: what the pooled rows would give, and no row leaves."""
