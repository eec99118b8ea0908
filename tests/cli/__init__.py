"""The command line `shine`, as its users meet it: output, exit codes, bad input."""
