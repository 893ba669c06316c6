"""The Autobahn|Testsuite against the WebSocket edge that ships: `python -m tools.conformance`."""
