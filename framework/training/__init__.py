"""How a net is trained: the loop on one page, and where it runs."""
