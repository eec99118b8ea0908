"""What BentoML lacks: deadlines and breakers, admission, one error shape, telemetry, and its workarounds."""
