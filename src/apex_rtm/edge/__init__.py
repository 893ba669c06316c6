"""Where the outside comes in: HTTP, WebSocket, and the guards in front of both."""
