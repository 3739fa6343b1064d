"""The embedded authority: sign-in, grants and the issue of tokens."""
