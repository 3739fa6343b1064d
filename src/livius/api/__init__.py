"""The wire: parse, call one use case, render. No decisions."""
