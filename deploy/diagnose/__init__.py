"""What is failing now, and why: `gather.gather` reads AWS, `diagnose.diagnose` puts the causes in order."""
