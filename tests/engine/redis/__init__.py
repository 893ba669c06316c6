"""The parts of the engine that several nodes share, without and with a real Redis."""
