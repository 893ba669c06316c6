// Express takes the POST, and every client of `ws` gets the message in a loop: how such a bridge is usually written.
// Nothing is logged to the console, which is kinder to it than the programs that it stands for.
"use strict";
const http = require("node:http");
const express = require("express");
const { WebSocket, WebSocketServer } = require("ws");

const app = express();
app.use(express.json({ limit: "8mb" }));
app.post("/api/broadcast", (request, response) => {
  const { channel, eventName, payload } = request.body ?? {};
  if (!channel) {
    response.status(400).json({ ok: false, message: "channel is required" });
    return;
  }
  const text = JSON.stringify({ channel, eventName, payload });
  for (const client of sockets.clients) {
    if (client.readyState === WebSocket.OPEN) client.send(text);
  }
  response.json({ ok: true });
});

const server = http.createServer(app);
const sockets = new WebSocketServer({ server, perMessageDeflate: process.env.DEFLATE === "1" });
server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
