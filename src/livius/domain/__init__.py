"""The domain: values, state tables and rules. No input, no output."""
