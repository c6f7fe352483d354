"""What makes it happen sooner: Cox models over silos, by sums, as the pooled rows would give them; no row leaves."""
