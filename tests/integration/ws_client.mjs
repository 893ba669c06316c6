// A client on Node's `ws` package: the other widespread WebSocket implementation, with its own idea of the details.
// usage: node ws_client.mjs <http base url> <channel> [key] [token]
// Prints one JSON object: everything that it saw, for the test that started it to judge.
import WebSocket from "ws";

const [base, channel, key, token] = process.argv.slice(2);
const wsUrl = base.replace("http", "ws") + "/";

/** A connection whose frames can be awaited one by one. */
class Client {
  constructor(...protocols) {
    this.socket = new WebSocket(wsUrl, protocols);
    this.frames = [];
    this.waiting = [];
    this.socket.on("message", (data) => {
      const frame = JSON.parse(data.toString());
      const waiter = this.waiting.shift();
      if (waiter) waiter(frame);
      else this.frames.push(frame);
    });
    this.opened = new Promise((resolve, reject) => {
      this.socket.on("open", resolve);
      this.socket.on("error", reject);
    });
    this.closed = new Promise((resolve) => this.socket.on("close", (code) => resolve(code)));
  }

  next() {
    return this.frames.length ? Promise.resolve(this.frames.shift()) : new Promise((r) => this.waiting.push(r));
  }

  ask(command) {
    this.socket.send(JSON.stringify(command));
    return this.next();
  }
}

async function publish(payload) {
  const headers = { "Content-Type": "application/json", ...(key ? { "X-API-Key": key } : {}) };
  const body = JSON.stringify({ channel, eventName: "ping", payload });
  const answer = await fetch(`${base}/api/broadcast`, { method: "POST", headers, body });
  return { status: answer.status, ...(await answer.json()) };
}

async function connect() {
  const client = new Client("rtm.v1");
  await client.opened;
  if (token) await client.ask({ type: "connect", token });
  return client;
}

const saw = {};
const first = await connect();
saw.subprotocol = first.socket.protocol;
saw.extensions = first.socket.extensions;
saw.subscribed = await first.ask({ type: "subscribe", channel, id: 1 });
saw.published = await publish({ value: "Grüße 🎉" });
saw.publication = await first.next();
saw.pong = await new Promise((resolve) => {
  first.socket.on("pong", (data) => resolve(data.toString()));
  first.socket.ping("are you there");
});
first.socket.terminate(); // a cut, without a closing handshake
await first.closed;
await publish("missed");

const second = await connect();
const since = { epoch: saw.publication.epoch, offset: saw.publication.offset };
saw.recovered = await second.ask({ type: "subscribe", channel, since });
saw.missed = await second.next();

const old = new Client(); // offers nothing and says nothing
await old.opened;
saw.oldSubprotocol = old.socket.protocol;
await publish("for everybody");
saw.live = await second.next();
saw.oldAnswer = await old.ask({ type: "ping" });

second.socket.close(1000);
saw.closeCode = await second.closed;
old.socket.send(Buffer.from([1, 2, 3])); // binary
saw.binaryCloseCode = await old.closed;
console.log(JSON.stringify(saw));
