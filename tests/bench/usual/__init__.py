"""What projects do without a monitor: a row of their own for each event."""
