"""What BentoML lacks: deadlines and breakers for runners, admission, one error shape, telemetry, and its workarounds."""
