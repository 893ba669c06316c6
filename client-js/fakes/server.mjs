// The server's side of docs/protocol.md in one process with the test. Recipes:
//
//   const server = await FakeServer.start();          a free port; server.url
//   await server.heard('subscribe', 2);               the second subscribe ever; all of them: server.commands
//   server.override('subscribe', (command) => frame)  answers otherwise; null says nothing
//   server.publish('test', 'Hello');                  into the log, and to whoever is subscribed
//   server.forget('test');                            empties the log: the next `since` cannot be recovered
//   server.say({ type: 'draining', … });              to every connection
//   server.cut();                                     as if the cable were pulled
//   server.end(4001, 'token_expired');                with a close code

import { WebSocketServer } from 'ws';
import { until } from './page.mjs';

export class FakeServer {
  commands = [];
  overrides = new Map();
  logs = new Map();
  connections = 0;
  pingIntervalS = 25;
  user = null;
  channels = ['*'];

  static async start() {
    const server = new FakeServer();
    server.sockets = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'rtm.v1' });
    server.sockets.on('connection', (socket, request) => server.#greet(socket, request));
    await new Promise((resolve) => server.sockets.once('listening', resolve));
    server.url = `ws://127.0.0.1:${server.sockets.address().port}/`;
    return server;
  }

  stop() {
    for (const socket of this.sockets.clients) socket.terminate();
    return new Promise((resolve) => this.sockets.close(resolve));
  }

  #greet(socket, request) {
    this.connections += 1;
    socket.subscribed = new Set();
    socket.offered = request.headers['sec-websocket-protocol'];
    socket.on('message', (data) => this.#obey(socket, JSON.parse(String(data))));
  }

  #obey(socket, command) {
    this.commands.push(command);
    const override = this.overrides.get(command.type);
    const reply = override ? override(command, socket) : this[command.type](command, socket);
    if (reply) socket.send(JSON.stringify(reply));
    this.replay?.();
    this.replay = null;
  }

  connect({ id }) {
    const { user, channels, pingIntervalS } = this;
    return { type: 'connected', id, connection: 'c' + this.connections, user, channels, pingIntervalS };
  }

  refresh({ id }) {
    return { type: 'refreshed', id, channels: this.channels };
  }

  ping({ id }) {
    return { type: 'pong', id };
  }

  subscribe({ id, channel, since }, socket) {
    socket.subscribed.add(channel);
    const log = this.log(channel);
    const recovered = Boolean(since && since.epoch === log.epoch && since.offset >= log.forgotten);
    const missed = recovered ? log.publications.filter(({ offset }) => offset > since.offset) : [];
    this.replay = () => missed.forEach((one) => socket.send(JSON.stringify(one)));
    const { epoch, offset } = recovered ? since : { epoch: log.epoch, offset: log.end };
    return { type: 'subscribed', id, channel, epoch, offset, recovered };
  }

  unsubscribe({ id, channel }, socket) {
    socket.subscribed.delete(channel);
    return { type: 'unsubscribed', id, channel, code: 'client' };
  }

  log(channel) {
    if (!this.logs.has(channel)) this.logs.set(channel, { epoch: 'E1', end: 0, forgotten: 0, publications: [] });
    return this.logs.get(channel);
  }

  forget(channel) {
    const log = this.log(channel);
    log.forgotten = log.end;
    log.publications = [];
  }

  override(type, reply) {
    this.overrides.set(type, reply);
  }

  publish(channel, value, eventName = 'ping') {
    const log = this.log(channel);
    log.end += 1;
    const position = { epoch: log.epoch, offset: log.end };
    const publication = { channel, eventName, payload: { value }, id: 'p' + log.end, ...position };
    log.publications.push(publication);
    for (const socket of this.sockets.clients) {
      if (socket.subscribed.has(channel)) socket.send(JSON.stringify(publication));
    }
    return publication;
  }

  say(frame) {
    for (const socket of this.sockets.clients) socket.send(JSON.stringify(frame));
  }

  cut() {
    for (const socket of this.sockets.clients) socket.terminate();
  }

  end(code, reason = '') {
    for (const socket of this.sockets.clients) socket.close(code, reason);
  }

  sent(type) {
    return this.commands.filter((command) => command.type === type);
  }

  /** The `count`th command of that type, as soon as it has come. */
  async heard(type, count = 1) {
    await until(() => this.sent(type).length >= count, `command ${type} number ${count}`);
    return this.sent(type)[count - 1];
  }
}

/** A token as the database makes it, but unsigned: the client reads it and leaves the judgement to the server. */
export function tokenOf(sub, channels, sid = '1001') {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return [part({ alg: 'HS256' }), part({ sub, sid, channels, exp: 4000000000 }), 'signature'].join('.');
}
