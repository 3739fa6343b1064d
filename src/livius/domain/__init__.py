"""What is true in this world: values, state tables and rules. No input, no output."""
