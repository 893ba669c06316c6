"""One log for several nodes, in Redis or Valkey. See docs/adr/0008-several-nodes.md."""
