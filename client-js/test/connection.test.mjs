// The life of a connection: states, coming back, staying alive. Time stands still but where a test moves it.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { Page, until } from '../fakes/page.mjs';
import { FakeServer, tokenOf } from '../fakes/server.mjs';

let server;
let page;

beforeEach(async () => {
  server = await FakeServer.start();
  page = new Page();
});

afterEach(async () => {
  page.close();
  mock.restoreAll();
  await server.stop();
  assert.deepEqual(page.errors, []);
});

const connected = async (options = {}) => {
  const connection = page.connect({ url: server.url, ...options });
  await until(() => connection.state === 'connected');
  return connection;
};
const lost = (connection) => until(() => connection.state === 'disconnected');
/** Moves the clock to the next attempt. */
const retry = (connection, { clock } = page) => clock.advance(connection.changes.at(-1).retryInMs);
const back = (connection) => until(() => connection.state === 'connected');
/** Jitter at its upper bound makes the bound visible. */
const jitter = (share) => mock.method(Math, 'random', () => share);

class NeverOpens {
  static made = [];

  constructor(url) {
    this.url = url;
    this.readyState = 0;
    NeverOpens.made.push(this);
  }

  close() {
    this.isClosed = true;
  }
}

test('it offers the subprotocol and tells each change of state once', async () => {
  const connection = await connected();
  const [socket] = server.sockets.clients;
  assert.equal(socket.offered, 'rtm.v1');
  assert.deepEqual(connection.grants, ['*']);
  connection.close();
  const [first, second] = connection.changes;
  assert.deepEqual(first, { state: 'connected', previous: 'connecting', code: 0, reason: '', retryInMs: null });
  assert.deepEqual([second.state, second.code, second.reason], ['closed', 1000, 'closed by the page']);
  assert.equal(connection.changes.length, 2);
});

test('the token goes into the connect frame and nowhere else', async () => {
  server.user = 'SCOTT';
  const seen = [];
  page.rtm.trace((frame) => seen.push(frame));
  const token = tokenOf('SCOTT', ['test']);
  const connection = await connected({ token });
  assert.equal(server.sent('connect')[0].token, token);
  assert.equal(connection.user, 'SCOTT');
  assert.deepEqual(seen.map(({ direction }) => direction), ['out', 'in']);
  assert.equal(JSON.parse(seen[0].text).token, '…');
  assert.equal(JSON.stringify([seen, connection.url, page.storage.keys]).includes(token), false);
});

test('http addresses and paths become WebSocket addresses, anything else is refused at once', () => {
  const other = new Page({ WebSocket: NeverOpens });
  assert.equal(other.connect({ url: '/rtm#x' }).url, 'ws://apex.test/rtm');
  assert.equal(other.connect({ url: 'https://rtm.example.com' }).url, 'wss://rtm.example.com/');
  assert.throws(() => other.rtm.connect({ url: 'ftp://rtm.example.com' }), TypeError);
  assert.throws(() => other.rtm.connect({ url: 'wss://' }), TypeError);
});

test('a browser that refuses the address ends the connection instead of repeating it', () => {
  class Refuses {
    constructor() {
      throw new Error('SecurityError: insecure');
    }
  }
  const connection = new Page({ WebSocket: Refuses }).rtm.connect({ url: 'ws://rtm.example.com' });
  assert.equal(connection.state, 'closed');
});

test('all that ask for the same server and owner share one connection, others do not', async () => {
  const first = await connected({ token: tokenOf('SCOTT', ['a']) });
  assert.equal(page.connect({ url: server.url, token: tokenOf('SCOTT', ['a']) }), first);
  for (const options of [
    { token: tokenOf('KING', ['a']) },
    { token: tokenOf('SCOTT', ['a'], '1002') },
    { token: tokenOf('SCOTT', ['a']), url: server.url + '?x' },
    {},
  ]) {
    assert.notEqual(page.connect({ url: server.url, ...options }), first, JSON.stringify(options));
  }
});

test('of two tokens of one owner the wider one serves both', async () => {
  const wide = tokenOf('SCOTT', ['app:*', 'user:KING']);
  const first = await connected({ token: tokenOf('SCOTT', ['app:1']) });
  assert.equal(page.connect({ url: server.url, token: wide }), first);
  assert.equal((await server.heard('refresh')).token, wide);
  assert.equal(page.connect({ url: server.url, token: tokenOf('SCOTT', ['app:2']) }), first);
  server.cut();
  await lost(first);
  retry(first);
  assert.equal((await server.heard('connect', 2)).token, wide);
});

test('the next token comes from whoever brought the wider one, or from anybody who can', async () => {
  const narrow = tokenOf('SCOTT', ['app:1']);
  const wide = tokenOf('SCOTT', ['app:*']);
  const asked = [];
  const from = (name, token = narrow) => () => asked.push(name) && token;
  const renew = async (count) => {
    server.say({ type: 'expiring', expiresAt: 1 });
    await until(() => asked.length === count);
  };
  await connected({ token: narrow });
  page.connect({ url: server.url, token: narrow, getToken: from('first') });
  await renew(1);
  page.connect({ url: server.url, token: narrow, getToken: from('equal') });
  await renew(2);
  page.connect({ url: server.url, token: wide });
  await renew(3);
  page.connect({ url: server.url, token: tokenOf('SCOTT', ['*']), getToken: from('wider', tokenOf('SCOTT', ['*'])) });
  await renew(4);
  page.connect({ url: server.url, token: narrow, getToken: from('narrower') });
  await renew(5);
  assert.deepEqual(asked, ['first', 'first', 'first', 'wider', 'wider']);
});

test('tokens that each grant what the other does not are used together', async () => {
  const tokens = [tokenOf('SCOTT', ['*']), tokenOf('SCOTT', ['user:KING'])];
  const first = await connected({ token: tokens[0] });
  assert.equal(page.connect({ url: server.url, token: tokens[1] }), first);
  assert.deepEqual((await server.heard('refresh')).tokens, tokens);
  server.cut();
  await lost(first);
  retry(first);
  assert.deepEqual((await server.heard('connect', 2)).tokens, tokens);
  assert.notEqual(page.connect({ url: server.url, token: 'opaque' }), first);
});

test('the files may be loaded twice on a page without a second connection', async () => {
  const connection = await connected();
  const { connect, listener, _parts } = page.rtm;
  page.load();
  assert.equal(page.rtm.connect, connect);
  assert.equal(page.rtm.listener, listener);
  assert.equal(page.rtm._parts, _parts);
  assert.equal(page.connect({ url: server.url }), connection);
});

test('after a cut it comes back with a bound that doubles from half a second to twenty', async () => {
  jitter(0.999);
  const other = new Page({ WebSocket: NeverOpens });
  const connection = other.connect({ url: server.url });
  const delays = [];
  for (let attempt = 0; attempt < 9; attempt += 1) {
    NeverOpens.made.at(-1).onclose({ code: 1006, reason: '' });
    delays.push(Math.round(connection.changes.at(-1).retryInMs / 99.9) / 10);
    retry(connection, other);
    assert.equal(connection.state, 'connecting');
  }
  assert.deepEqual(delays, [0.5, 1, 2, 4, 8, 16, 20, 20, 20]);
  other.close();
});

test('the delay is anything between nothing and the bound', async () => {
  const connection = await connected();
  jitter(0.25);
  server.cut();
  await lost(connection);
  assert.deepEqual(page.clock.waiting, [125]);
  assert.equal(connection.changes.at(-1).retryInMs, 125);
  page.clock.advance(125);
  await back(connection);
});

test('the bound falls back only after ten good seconds', async () => {
  jitter(1);
  const connection = await connected();
  for (const bound of [500, 1000, 2000]) {
    server.cut();
    await lost(connection);
    assert.equal(connection.changes.at(-1).retryInMs, bound);
    retry(connection);
    await back(connection);
  }
  page.clock.advance(10000);
  server.cut();
  await lost(connection);
  assert.equal(connection.changes.at(-1).retryInMs, 500);
});

test('callbacks of a dead socket do nothing', async () => {
  const sockets = (NeverOpens.made = []);
  const other = new Page({ WebSocket: NeverOpens });
  const connection = other.connect({ url: server.url });
  const got = [];
  connection.subscribe('test', { onPublication: (publication) => got.push(publication) });
  other.clock.advance(15000); // no answer
  retry(connection, other);
  const [dead, alive] = sockets;
  assert.equal(dead.isClosed, true);
  assert.equal(connection.state, 'connecting');
  dead.onopen();
  dead.onmessage({ data: JSON.stringify(server.connect({ id: 1 })) });
  dead.onmessage({ data: JSON.stringify({ channel: 'test', epoch: 'E1', offset: 1 }) });
  dead.onclose({ code: 4503, reason: 'revoked' });
  assert.equal(connection.state, 'connecting');
  assert.deepEqual(got, []);
  alive.onmessage({ data: JSON.stringify(server.connect({ id: 1 })) });
  assert.equal(connection.state, 'connected');
  other.close();
});

test('a listener that closes the connection while it comes back is obeyed', async () => {
  const connection = await connected();
  connection.onState(({ state }) => state === 'connecting' && connection.close());
  server.cut();
  await lost(connection);
  retry(connection);
  assert.equal(connection.state, 'closed');
  assert.deepEqual(page.clock.waiting, []);
  await connected();
  assert.equal(server.connections, 2);
});

test('a listener that fails is reported and the others still hear', async () => {
  const connection = await connected();
  const heard = [];
  connection.onState(() => {
    throw new Error('mine');
  });
  connection.onState(({ state }) => heard.push(state));
  connection.close();
  assert.deepEqual(heard, ['closed']);
  assert.equal(page.errors.splice(0).length, 1);
});

test('codes from 4500 on stop it, whatever they mean', async () => {
  for (const code of [4500, 4501, 4503, 4999]) {
    const connection = await connected();
    server.end(code, 'because');
    await until(() => connection.state === 'closed');
    assert.deepEqual([connection.changes.at(-1).code, connection.changes.at(-1).reason], [code, 'because']);
    assert.deepEqual(page.clock.waiting, []);
  }
});

test('all other codes bring it back, unknown ones too', async () => {
  for (const code of [1000, 1011, 4002, 4003, 4499]) {
    const connection = await connected();
    server.end(code);
    await lost(connection);
    retry(connection);
    await back(connection);
    connection.close();
  }
});

test('a server that is full is asked later than one that was cut off', async () => {
  jitter(1);
  for (const code of [4005, 4006]) {
    const connection = await connected();
    server.end(code);
    await lost(connection);
    assert.equal(connection.changes.at(-1).retryInMs, 8000, String(code));
    connection.close();
  }
});

test('a draining server is left in peace for a random part of the time that it names', async () => {
  const connection = await connected();
  server.say({ type: 'draining', reconnectWithinMs: 30000 });
  server.end(1012, 'draining');
  jitter(0.5);
  await lost(connection);
  assert.equal(connection.changes.at(-1).retryInMs, 15000);
});

test('an expired token is replaced before the next attempt', async () => {
  const getToken = mock.fn(async () => 'fresh');
  const connection = await connected({ token: tokenOf('SCOTT', ['a']), getToken });
  assert.equal(getToken.mock.callCount(), 0);
  server.end(4001, 'token_expired');
  await lost(connection);
  retry(connection);
  assert.equal((await server.heard('connect', 2)).token, 'fresh');
  await back(connection);
  server.cut();
  await lost(connection);
  retry(connection);
  await server.heard('connect', 3);
  assert.equal(getToken.mock.callCount(), 1);
});

test('without a way to get another token an expired one is the end', async () => {
  const connection = await connected({ token: tokenOf('SCOTT', ['a']) });
  server.end(4001, 'token_expired');
  await until(() => connection.state === 'closed');
});

test('getToken gives the first token too, and its failures are spread over minutes', async () => {
  jitter(1);
  let token = '';
  const getToken = mock.fn(() => token);
  const connection = page.connect({ url: server.url, getToken });
  const delays = [];
  for (let attempt = 0; attempt < 11; attempt += 1) {
    await lost(connection);
    delays.push(connection.changes.at(-1).retryInMs);
    assert.match(connection.changes.at(-1).reason, /no token/);
    if (attempt === 10) token = 'first';
    page.clock.advance(delays[attempt]);
  }
  assert.deepEqual(delays.slice(5), [16000, 32000, 64000, 128000, 256000, 300000]);
  await back(connection);
  assert.equal(server.sent('connect')[0].token, 'first');
});

test('a token that comes after the attempt was given up is not used for a second socket', async () => {
  let give;
  const connection = page.connect({ url: server.url, getToken: () => new Promise((resolve) => (give = resolve)) });
  await until(() => give);
  page.clock.advance(15000);
  assert.equal(connection.state, 'disconnected');
  give('late');
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(connection.state, 'disconnected');
  retry(connection);
  await back(connection);
  assert.equal(server.connections, 1);
});

test('a token about to expire is refreshed on the same socket', async () => {
  const connection = await connected({ token: tokenOf('SCOTT', ['a']), getToken: () => 'fresh' });
  server.channels = ['b'];
  server.say({ type: 'expiring', expiresAt: 1 });
  assert.equal((await server.heard('refresh')).token, 'fresh');
  await until(() => connection.grants[0] === 'b');
  assert.equal(server.connections, 1);
});

test('a failed refresh waits for the server to say that the token has ended', async () => {
  let attempts = 0;
  const getToken = () => ((attempts += 1) === 1 ? Promise.reject(new Error('session ended')) : 'fresh');
  const connection = await connected({ token: tokenOf('SCOTT', ['a']), getToken });
  server.say({ type: 'expiring', expiresAt: 1 });
  await until(() => attempts === 1);
  assert.equal(connection.state, 'connected');
  server.end(4001, 'token_expired');
  await lost(connection);
  retry(connection);
  await back(connection);
});

test('a server that is silent for more than two intervals is asked, and left when it does not answer', async () => {
  server.pingIntervalS = 10;
  server.override('ping', () => null);
  const connection = await connected();
  page.clock.advance(20000);
  assert.equal(server.sent('ping').length, 0);
  page.clock.advance(10000);
  await server.heard('ping');
  assert.equal(connection.state, 'connected');
  page.clock.advance(10000);
  assert.equal(connection.state, 'disconnected');
  assert.equal(connection.changes.at(-1).reason, 'server is silent');
});

test('a server that answers is kept, and every frame counts as an answer', async () => {
  server.pingIntervalS = 10;
  const connection = await connected();
  const seen = [];
  page.rtm.trace(({ text }) => seen.push(text));
  for (let round = 1; round <= 3; round += 1) {
    page.clock.advance(30000);
    await until(() => seen.filter((text) => text.includes('pong')).length === round);
  }
  page.clock.advance(20000);
  server.say({ type: 'something new' });
  await until(() => seen.some((text) => text.includes('something new')));
  page.clock.advance(20000);
  assert.equal(server.sent('ping').length, 3);
  assert.equal(connection.state, 'connected');
});

test('a connection that is accepted and then ignored is given up', async () => {
  server.override('connect', () => null);
  const connection = page.connect({ url: server.url });
  await server.heard('connect');
  page.clock.advance(15000);
  assert.equal(connection.changes.at(-1).reason, 'no answer');
});

test('the network coming back ends the waiting', async () => {
  const connection = await connected();
  jitter(1);
  server.cut();
  await lost(connection);
  page.fire('online');
  await back(connection);
});

test('a page that becomes visible asks whether its socket is still alive', async () => {
  server.override('ping', () => null);
  const connection = await connected();
  page.show(false);
  assert.equal(server.sent('ping').length, 0);
  page.show(true);
  await server.heard('ping');
  page.clock.advance(5000);
  assert.equal(connection.state, 'disconnected');
});

test('a page that is frozen holds no socket and returns with it', async () => {
  const connection = await connected();
  page.document.dispatchEvent(new Event('freeze'));
  assert.equal(connection.changes.at(-1).reason, 'pagehide');
  await until(() => server.sockets.clients.size === 0);
  page.document.dispatchEvent(new Event('resume'));
  await back(connection);
  assert.equal(server.connections, 2);
});

test('after a sleep the server is asked at once, and a dead socket left within seconds', async () => {
  server.override('ping', () => null);
  const connection = await connected();
  page.clock.advance(5000);
  assert.equal(server.sent('ping').length, 0);
  const { now } = Date;
  mock.method(Date, 'now', () => now() + 60000);
  page.clock.advance(5000);
  await server.heard('ping');
  page.clock.advance(5000);
  assert.equal(connection.changes.at(-1).reason, 'server is silent');
});

test('a page in the back/forward cache holds no socket and returns with it', async () => {
  const connection = await connected();
  page.fire('pageshow'); // the first one, when nothing was hidden
  assert.equal(connection.state, 'connected');
  page.fire('pagehide');
  assert.equal(connection.state, 'disconnected');
  assert.deepEqual([connection.changes.at(-1).reason, connection.changes.at(-1).retryInMs], ['pagehide', null]);
  await until(() => server.sockets.clients.size === 0);
  page.fire('online');
  page.show(true);
  assert.equal(connection.state, 'disconnected');
  assert.deepEqual(page.clock.waiting, []);
  page.fire('pageshow');
  await back(connection);
  assert.equal(server.connections, 2);
  connection.close();
  page.fire('pagehide');
  page.fire('pageshow');
  assert.equal(connection.state, 'closed');
});

test('a token without channels still has an owner', async () => {
  const first = await connected({ token: tokenOf('SCOTT') });
  assert.equal(page.connect({ url: server.url, token: tokenOf('SCOTT', []) }), first);
  assert.notEqual(page.connect({ url: server.url, token: tokenOf('KING') }), first);
});

test('Node loads it too, where the global object is the window', async () => {
  await import('../subscriptions.js');
  await import('../rtm.js');
  assert.equal(typeof globalThis.rtm.connect, 'function');
  delete globalThis.rtm;
});

test('it runs where there is neither document nor storage', async () => {
  const worker = new Page({ window: { document: undefined, location: undefined, sessionStorage: undefined } });
  const connection = worker.connect({ url: server.url });
  await until(() => connection.state === 'connected');
  worker.close();
});
