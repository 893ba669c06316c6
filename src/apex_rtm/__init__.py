"""apex-rtm: a self-hosted real-time message bus for Oracle APEX."""

__version__ = "0.1.0"
