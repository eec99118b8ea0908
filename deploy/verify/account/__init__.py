"""Compares the AWS account with what the rollout needs; it only reads."""
