"""What BentoML lacks: deadlines, breakers, limits, one shape for errors, telemetry; and workarounds for its bugs."""
