"""What is failing now, and why: `evidence.gather` looks, `diagnose.diagnose` puts the causes that it sees in order."""
