// Socket.IO with a room for each channel, WebSocket only, Express for the POST.
"use strict";
const http = require("node:http");
const express = require("express");
const { Server } = require("socket.io");

const app = express();
app.use(express.json({ limit: "8mb" }));
const server = http.createServer(app);
const io = new Server(server, { transports: ["websocket"], serveClient: false, perMessageDeflate: false });
io.on("connection", (socket) => socket.join("test"));
app.post("/api/broadcast", (request, response) => {
  const { channel, eventName, payload } = request.body ?? {};
  io.to(channel).emit(eventName, { channel, eventName, payload });
  response.json({ ok: true });
});
server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
