// The tokens of a page: which of them the server is given, and whose turn it is.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { Page, until } from '../fakes/page.mjs';
import { FakeServer } from '../fakes/server.mjs';

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

const LATER = 4000000000;
const tokenOf = (channels, exp = LATER, sid = '1') => {
  const claims = JSON.stringify({ sub: 'SCOTT', sid, channels: [].concat(channels), exp });
  return `head.${Buffer.from(claims).toString('base64url')}.signature`;
};
const until4001 = async (connection) => {
  server.end(4001, 'token_expired');
  await until(() => connection.state === 'disconnected');
  page.clock.advance(connection.changes.at(-1).retryInMs);
};
/** Listeners of a page: `{name: [exp, what comes next]}`; who was asked is in the result. */
async function listen(listeners) {
  const asked = [];
  let connection;
  for (const [name, [exp, next]] of Object.entries(listeners)) {
    const getToken = next === undefined ? undefined : () => asked.push(name) && next();
    connection = page.connect({ url: server.url, token: tokenOf(name, exp), getToken });
  }
  await until(() => connection.state === 'connected');
  return { connection, asked };
}

test('listeners of one page take one connection with all their tokens', async () => {
  await listen({ a: [LATER], b: [LATER], 'c:*': [LATER], 'c:1': [LATER] });
  assert.deepEqual(server.sent('connect')[0].tokens, [tokenOf('a'), tokenOf('b'), tokenOf('c:*')]);
  assert.equal(server.connections, 1);
});

test('a listener that comes later is told to the server on the same connection', async () => {
  const { connection } = await listen({ a: [LATER] });
  assert.equal(server.sent('connect')[0].token, tokenOf('a'));
  assert.equal(page.connect({ url: server.url, token: tokenOf('b') }), connection);
  assert.deepEqual((await server.heard('refresh')).tokens, [tokenOf('a'), tokenOf('b')]);
  assert.equal(server.connections, 1);
});

test('more tokens than a connection takes make a second one', async () => {
  const connections = new Set();
  for (let number = 0; number < 60; number += 1) {
    connections.add(page.connect({ url: server.url, token: tokenOf('c' + number) }));
  }
  assert.equal(connections.size, 2);
  await server.heard('connect', 2);
  assert.deepEqual(server.sent('connect').map(({ tokens }) => tokens.length).sort(), [10, 50]);
});

test('tokens longer than a frame make a second one, too', () => {
  const long = (name) => tokenOf([name + 'x'.repeat(15000)]);
  const [first, second, third] = ['a', 'b', 'c'].map((name) => page.connect({ url: server.url, token: long(name) }));
  assert.equal(first, second);
  assert.notEqual(first, third);
});

test('each is renewed through its own listener, those of one page together', async () => {
  const { asked } = await listen({
    a: [1000, () => tokenOf('a')], b: [1050, () => tokenOf('b')], c: [2000, () => tokenOf('c')],
  });
  server.say({ type: 'expiring', expiresAt: 1000 });
  assert.deepEqual((await server.heard('refresh')).tokens, [tokenOf('a'), tokenOf('b'), tokenOf('c', 2000)]);
  assert.deepEqual(asked, ['a', 'b']);
});

test('a listener that gets no token any more leaves the others at work, and is asked again', async () => {
  let answer = () => Promise.reject(new Error('not authorized'));
  const { connection, asked } = await listen({ a: [1000, () => answer()], b: [1000, () => tokenOf('b')] });
  await until4001(connection);
  const again = await server.heard('connect', 2);
  assert.deepEqual([again.token, again.tokens], [tokenOf('b'), undefined]);
  await until(() => asked.length === 3, 'it is asked again');
  answer = () => tokenOf('a');
  page.clock.advance(20000);
  await until(() => asked.length === 4);
  assert.deepEqual((await server.heard('refresh')).tokens, [tokenOf('a'), tokenOf('b')]);
});

test('one that ends for good is dropped, the last of them ends the connection', async () => {
  const { connection } = await listen({ a: [1000], b: [LATER] });
  await until4001(connection);
  assert.equal((await server.heard('connect', 2)).token, tokenOf('b'));
  await until(() => connection.state === 'connected');
  server.end(4001, 'token_expired');
  await until(() => connection.state === 'closed');
});

test('a fresh token takes the place of an equal one that has ended', async () => {
  const { connection } = await listen({ a: [1000, () => new Promise(() => {})] });
  await until4001(connection);
  assert.equal(page.connect({ url: server.url, token: tokenOf('a') }), connection);
  page.clock.advance(15000); // the attempt that waits for the other one is given up
  page.clock.advance(connection.changes.at(-1).retryInMs);
  assert.equal((await server.heard('connect', 2)).token, tokenOf('a'));
});

test('tokens of another session stay apart', async () => {
  const { connection } = await listen({ a: [LATER] });
  assert.notEqual(page.connect({ url: server.url, token: tokenOf('b', LATER, '2') }), connection);
});

test('nobody who watches the frames sees a token', async () => {
  const seen = [];
  page.rtm.trace(({ text }) => seen.push(text));
  await listen({ a: [LATER], b: [LATER] });
  assert.deepEqual(JSON.parse(seen[0]).tokens, ['…', '…']);
  assert.equal(seen.join('').includes('signature'), false);
});

test('a Listener that a wider one stood for goes on by itself when that one gets no token any more', async () => {
  const soon = 3000000000;
  const refuse = () => Promise.reject(new Error('its authorization has ended'));
  const { connection, asked } = await listen({
    'orders:17': [soon, () => tokenOf('orders:17')],
    'orders:*': [soon, refuse],
    'orders:18': [soon, () => tokenOf('orders:18')],
  });
  assert.equal(server.sent('connect')[0].token, tokenOf('orders:*', soon));
  server.say({ type: 'expiring', expiresAt: soon });
  await until(() => asked.length === 1);
  await until(() => connection._wallet.isShort);
  await new Promise((resolve) => setImmediate(resolve));
  page.clock.advance(500);
  await until(() => server.sent('refresh').at(-1)?.tokens?.length === 3);
  assert.deepEqual(asked, ['orders:*', 'orders:17', 'orders:18']);
  await until4001(connection);
  await until(() => connection.state === 'connected');
  assert.deepEqual(server.sent('connect').at(-1).tokens, [tokenOf('orders:17'), tokenOf('orders:18')]);
});
