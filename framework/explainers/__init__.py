"""Ways to explain a winner, one a file."""
