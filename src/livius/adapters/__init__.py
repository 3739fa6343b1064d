"""One outside thing each, spoken natively behind a port."""
