// Nothing is lost silently: cuts, reloads and a server that forgot, over real sockets.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { Page, until } from '../fakes/page.mjs';
import { FakeServer, tokenOf } from '../fakes/server.mjs';

let server;
let pages;

beforeEach(async () => {
  server = await FakeServer.start();
  pages = [];
});

afterEach(async () => {
  for (const page of pages) page.close();
  await server.stop();
});

/** A page that listens to `test`; what arrives is in `page.values`, gaps are in `page.gaps`. */
async function open(differences = {}, options = {}) {
  const page = new Page(differences);
  pages.push(page);
  page.values = [];
  page.gaps = [];
  page.rtm.trace(({ text }) => (page.subscribed = page.subscribed || text.includes('"type":"subscribed"')));
  const asked = server.sent('subscribe').length;
  page.connection = page.connect({ url: server.url, ...options });
  page.connection.subscribe('test', {
    onPublication: ({ payload }) => page.values.push(payload.value),
    onGap: (gap) => page.gaps.push(gap),
  });
  await server.heard('subscribe', asked + 1);
  await until(() => page.subscribed);
  return page;
}

async function cut(page) {
  server.cut();
  await until(() => page.connection.state === 'disconnected');
}

async function comeBack(page) {
  page.clock.advance(page.connection.changes.at(-1).retryInMs);
  await until(() => page.connection.state === 'connected');
}

/** What the browser does with a page that is left for the same address. */
async function reload(page) {
  page.fire('pagehide');
  await until(() => server.sockets.clients.size === 0);
}

test('what is published during a cut arrives after it, in order, once', async () => {
  const page = await open();
  const sent = [];
  for (let round = 0; round < 5; round += 1) {
    sent.push(`live ${round}`);
    server.publish('test', `live ${round}`);
    await until(() => page.values.length === sent.length);
    await cut(page);
    for (const number of [1, 2, 3]) {
      sent.push(`missed ${round}.${number}`);
      server.publish('test', `missed ${round}.${number}`);
    }
    await comeBack(page);
    await until(() => page.values.length === sent.length);
  }
  assert.deepEqual(page.values, sent);
  assert.deepEqual(page.gaps, []);
});

test('what is published during a reload arrives on the new page, and nothing that the old one had', async () => {
  const before = await open();
  server.publish('test', 'seen');
  await until(() => before.values.length === 1);
  await reload(before);
  server.publish('test', 'missed');
  const after = await open({ storage: before.storage });
  await until(() => after.values.length === 1);
  server.publish('test', 'live');
  await until(() => after.values.length === 2);
  assert.deepEqual(after.values, ['missed', 'live']);
});

test('what comes while the next page is being fetched is for the next page, too', async () => {
  const before = await open();
  server.publish('test', 'seen');
  await until(() => before.values.length === 1);
  before.fire('beforeunload');
  server.publish('test', 'while it was fetched');
  await until(() => before.values.length === 2);
  before.clock.advance(1000);
  await reload(before);
  const after = await open({ storage: before.storage });
  await until(() => after.values.length === 1);
  assert.deepEqual(after.values, ['while it was fetched']);
});

test('a page that was not left after all keeps its position again', async () => {
  const before = await open();
  before.fire('beforeunload');
  server.publish('test', 'seen');
  await until(() => before.values.length === 1);
  const left = Date.now();
  mock.method(Date, 'now', () => left + 60000);
  before.clock.advance(1000);
  mock.restoreAll();
  server.cut();
  const after = await open({ storage: before.storage });
  server.publish('test', 'live');
  await until(() => after.values.length === 1);
  assert.deepEqual(after.values, ['live']);
});

test('a page that returns from the back/forward cache keeps its position again', async () => {
  const page = await open();
  page.fire('beforeunload');
  await reload(page);
  page.fire('pageshow');
  await server.heard('subscribe', 2);
  server.publish('test', 'seen');
  await until(() => page.values.length === 1);
  await reload(page);
  const after = await open({ storage: page.storage });
  server.publish('test', 'live');
  await until(() => after.values.length === 1);
  assert.deepEqual(after.values, ['live']);
});

test('a page that dies without a word repeats a second at most, also after a cut', async () => {
  const before = await open();
  await cut(before);
  await comeBack(before);
  await server.heard('subscribe', 2);
  server.publish('test', 'saved');
  await until(() => before.values.length === 1);
  before.clock.advance(1000);
  server.publish('test', 'not saved yet');
  await until(() => before.values.length === 2);
  server.cut();
  const after = await open({ storage: before.storage });
  await until(() => after.values.length === 1);
  assert.deepEqual(after.values, ['not saved yet']);
});

test('a mobile browser that hides the page may kill it: the position is safe by then', async () => {
  const before = await open();
  server.publish('test', 'seen');
  await until(() => before.values.length === 1);
  before.show(false);
  server.cut();
  const after = await open({ storage: before.storage });
  server.publish('test', 'live');
  await until(() => after.values.length === 1);
  assert.deepEqual(after.values, ['live']);
});

test('another page, another session and another user of the same tab begin anew', async () => {
  const before = await open({}, { scope: '100:10:1', token: tokenOf('SCOTT', ['test']) });
  server.publish('test', 'seen');
  await until(() => before.values.length === 1);
  await reload(before);
  for (const [scope, user] of [['100:20:1', 'SCOTT'], ['100:10:2', 'SCOTT'], ['100:10:1', 'KING']]) {
    await open({ storage: before.storage }, { scope, token: tokenOf(user, ['test']) });
    assert.equal(server.sent('subscribe').at(-1).since, undefined);
  }
  await open({ storage: before.storage }, { scope: '100:10:1', token: tokenOf('SCOTT', ['test']) });
  assert.deepEqual(server.sent('subscribe').at(-1).since, { epoch: 'E1', offset: 1 });
});

test('a server that has forgotten what was missed makes the page read anew', async () => {
  const page = await open();
  server.publish('test', 'seen');
  await until(() => page.values.length === 1);
  await cut(page);
  server.publish('test', 'lost');
  server.forget('test');
  await comeBack(page);
  await until(() => page.gaps.length === 1);
  assert.deepEqual(page.gaps[0].since, { epoch: 'E1', offset: 1 });
  server.publish('test', 'live');
  await until(() => page.values.length === 2);
  assert.deepEqual(page.values, ['seen', 'live']);
});

test('a page from the back/forward cache gets what it missed there', async () => {
  const page = await open();
  server.publish('test', 'seen');
  await until(() => page.values.length === 1);
  await reload(page);
  server.publish('test', 'missed');
  page.fire('pageshow');
  await until(() => page.values.length === 2);
  assert.deepEqual(page.values, ['seen', 'missed']);
});

test('a channel that the server could not take at once is asked for again', async () => {
  const page = await open();
  let refusals = 2;
  server.override('subscribe', (command, socket) => {
    refusals -= 1;
    if (refusals < 0) return server.subscribe(command, socket);
    return { type: 'error', id: command.id, code: 'rate_limited', message: 'slowly' };
  });
  const values = [];
  page.connection.subscribe('busy', { onPublication: ({ payload }) => values.push(payload.value) });
  await until(() => {
    page.clock.advance(10);
    return server.sent('subscribe').length === 4;
  }, 'third attempt');
  server.publish('busy', 'live');
  await until(() => values.length === 1);
});

test('a wish on a running connection is sent at once', async () => {
  const page = await open();
  await until(() => page.connection.state === 'connected');
  const values = [];
  page.connection.subscribe('late', { onPublication: ({ payload }) => values.push(payload.value) });
  await server.heard('subscribe', 2);
  server.publish('late', 'live');
  await until(() => values.length === 1);
});
