"""Several servers on one log."""
