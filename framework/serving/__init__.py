"""The deployed winner: one Ray Serve application, its HTTP interface and its rules."""
