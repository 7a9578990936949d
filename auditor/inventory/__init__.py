"""Where machines come from, and which of them a run is about."""
