"""The addresses of the HTTP interface, one concept a file; each says which roles open it."""
