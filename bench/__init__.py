"""The benchmark: apex-rtm and its peers side by side, in one run, with one load generator. See docs/performance.md."""
