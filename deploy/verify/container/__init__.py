"""Runs the image as the task definition says, and checks how it behaves before anything is rolled out.

It runs as in production: the task's memory and CPU, its user, a read-only root with only /tmp writable, no
capabilities. It is published on loopback only and always removed. It gets stand-ins instead of secrets.
"""
