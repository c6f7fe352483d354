"""A contest from its contenders to its winner: who is fit when and on what, who is ranked, and who wins."""
