"""What a caller may want: one function per intent, each writes a goal and returns."""
