"""The command line `shine`, and what it has in common with `trail`."""
