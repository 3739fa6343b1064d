"""The embedded authority: who signs in, what is granted, which tokens are issued."""
