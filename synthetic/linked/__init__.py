"""Tables that hang together, parents first, and how they are judged."""
