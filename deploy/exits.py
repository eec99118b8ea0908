"""Exit codes of all commands: fine; something found, not looked at or not done; interrupted by a person."""

FINE, FOUND, INTERRUPTED = 0, 2, 130
