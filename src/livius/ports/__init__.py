"""What the core asks of the outside: contracts, no behaviour."""
