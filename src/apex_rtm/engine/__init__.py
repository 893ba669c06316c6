"""Where publications are ordered and kept."""
