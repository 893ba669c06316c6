// Pages of one browser: who holds the socket, and what the others hear. The server sees one client.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { WebSocket } from 'ws';
import { Browser } from '../fakes/browser.mjs';
import { until } from '../fakes/page.mjs';
import { FakeServer, tokenOf } from '../fakes/server.mjs';

let server;
let browser;

beforeEach(async () => {
  server = await FakeServer.start();
  browser = new Browser();
});

afterEach(async () => {
  browser.close();
  await server.stop();
  for (const page of browser.pages) assert.deepEqual(page.errors, []);
});

/** A page that listens; what it hears is in `page.heard`, gaps and refusals in `page.gaps` and `page.refusals`. */
function open(channels = ['test'], { page = browser.page(), presence = false, ...options } = {}) {
  const connection = page.connect({ url: server.url, session: 'SCOTT:1', ...options });
  Object.assign(page, { connection, heard: [], gaps: [], refusals: [], present: [] });
  for (const channel of channels) {
    connection.subscribe(channel, {
      onPublication: (publication) => page.heard.push(publication.payload.value),
      onGap: (gap) => page.gaps.push(gap),
      onError: ({ code }) => page.refusals.push(code),
      ...(presence && { onPresence: ({ names }) => page.present.push(names) }),
    });
  }
  return page;
}
const isLive = ({ connection: { state, feeds } }) =>
  state === 'connected' && feeds.every((feed) => feed.state === 'live');
async function live(...pages) {
  for (const page of pages) await until(() => isLive(page), 'a page is live');
}
const role = ({ connection }) => connection.role;
/** The same page after a reload, with what it has stored. */
const reloaded = (page) => browser.page({ storage: page.storage });

test('the first page leads, the others hear through it', async () => {
  const pages = [open(), open(), open(['other'])];
  await live(...pages);
  assert.deepEqual(pages.map(role), ['leader', 'follower', 'follower']);
  assert.equal(server.connections, 1);
  assert.deepEqual(server.sent('subscribe').map(({ channel }) => channel).sort(), ['other', 'test']);
  server.publish('test', 1);
  server.publish('other', 2);
  server.publish('test', 3);
  await until(() => pages[1].heard.length === 2 && pages[2].heard.length === 1);
  assert.deepEqual(pages.map(({ heard }) => heard), [[1, 3], [1, 3], [2]]);
});

test('others than the same server, user and session never meet', async () => {
  const scott = tokenOf('SCOTT', ['test'], '1');
  const pages = [
    open(['test'], { session: 'SCOTT:1' }),
    open(['test'], { session: 'SCOTT:2' }),
    open(['test'], { session: 'SCOTT:1', token: scott }),
    open(['test'], { session: 'SCOTT:1', token: tokenOf('SCOTT', ['test'], '2') }),
    open(['test'], { session: 'SCOTT:1', token: tokenOf('KING', ['test'], '1') }),
    open(['test'], { session: 'SCOTT:1', url: server.url + '?x' }),
  ];
  await live(...pages);
  assert.deepEqual(pages.map(role), Array(6).fill('leader'));
  assert.equal(server.connections, 6);
  assert.equal(new Set(browser.said.map(({ name }) => name)).size, 6);
});

test('who may not or cannot share has a socket of its own', async () => {
  const without = (missing) => browser.page({ window: { [missing]: undefined } });
  const pages = [
    open(),
    open(['test'], { share: false }),
    open(['test'], { session: undefined }),
    open(['test'], { page: without('BroadcastChannel') }),
    open(['test'], { page: without('navigator') }),
    open(['test'], { page: browser.page({ window: { isSecureContext: false } }) }),
    open(['test'], { page: browser.page({ window: { rtm: { share: false } } }) }),
  ];
  await live(...pages);
  assert.deepEqual(pages.map(role), ['leader', ...Array(6).fill('alone')]);
  assert.equal(server.connections, 7);
});

test('a page whose browser refuses locks has a socket of its own', async () => {
  const locks = { request: () => Promise.reject(new Error('SecurityError')) };
  const page = open(['test'], { page: browser.page({ window: { navigator: { locks } } }) });
  await live(page);
  assert.equal(role(page), 'alone');
});

test('a page that hears of a leader before its own lock is held is not taken for gone', async () => {
  const leader = open();
  await live(leader);
  const page = browser.page();
  const { request } = page.window.navigator.locks;
  let grant;
  page.window.navigator.locks.request = (name, options, callback) => {
    const ask = () => request.call(page.window.navigator.locks, name, options, callback);
    return grant ? ask() : new Promise((resolve) => (grant = () => resolve(ask())));
  };
  open(['test'], { page });
  const next = open();
  await live(next);
  leader.fire('pagehide');
  await until(() => role(next) === 'leader');
  await live(next);
  grant();
  await live(page);
  server.publish('test', 1);
  await until(() => page.heard.length === 1 && next.heard.length === 1);
  assert.equal(page.connection.changes.length, 1, 'connected once');
});

test('a leader that is left hands over, and nothing is lost or comes twice', async () => {
  const [leader, heir, last] = [open(), open(), open()];
  await live(leader, heir, last);
  server.publish('test', 1);
  await until(() => last.heard.length === 1);
  leader.fire('pagehide');
  server.publish('test', 2);
  await until(() => role(heir) === 'leader');
  await live(heir, last);
  server.publish('test', 3);
  await until(() => heir.heard.length === 3 && last.heard.length === 3);
  assert.deepEqual([heir.heard, last.heard], [[1, 2, 3], [1, 2, 3]]);
  // For the page that is no outage.
  assert.equal(last.connection.changes.some(({ state }) => state === 'disconnected'), false);
  leader.fire('pageshow');
  await live(leader);
  assert.equal(role(leader), 'follower');
  await until(() => leader.heard.length === 3);
  assert.deepEqual(leader.heard, [1, 2, 3]);
  assert.equal(server.sockets.clients.size, 1);
});

test('a leader that crashes is followed by another page', async () => {
  const [leader, heir] = [open(), open()];
  await live(leader, heir);
  browser.crash(leader);
  server.publish('test', 1);
  await until(() => role(heir) === 'leader');
  await until(() => heir.heard.length === 1);
  leader.connection.close();
});

test('a page that crashes leaves nothing subscribed behind', async () => {
  const [leader, other] = [open(['test']), open(['other'])];
  await live(leader, other);
  browser.crash(other);
  assert.equal((await server.heard('unsubscribe')).channel, 'other');
  assert.equal(role(leader), 'leader');
});

test('a leader that does not answer is replaced, and steps down when it wakes', async () => {
  const [leader, heir] = [open(), open()];
  await live(leader, heir);
  browser.stick(leader);
  for (let beat = 1; beat <= 3; beat += 1) {
    heir.clock.advance(2500);
    assert.equal(role(heir), 'follower', `after ${beat} beats`);
  }
  heir.clock.advance(2500);
  await until(() => role(heir) === 'leader');
  await live(heir);
  browser.wake(leader);
  await until(() => role(leader) === 'follower');
  await live(leader);
  server.publish('test', 1);
  await until(() => leader.heard.length === 1 && heir.heard.length === 1);
  await until(() => server.sockets.clients.size === 1);
});

test('a leader that answers is left in place', async () => {
  const [leader, follower] = [open(), open()];
  await live(leader, follower);
  for (let beat = 0; beat < 12; beat += 1) {
    const { length } = browser.said;
    follower.clock.advance(2500);
    await until(() => browser.said.length >= length + 2, 'a beat is answered');
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual([role(leader), role(follower)], ['leader', 'follower']);
});

test('a page that reloads gets what it missed from the other page', async () => {
  const [leader, page] = [open(), open()];
  await live(leader, page);
  server.publish('test', 1);
  await until(() => page.heard.length === 1);
  page.fire('pagehide');
  server.publish('test', 2);
  server.publish('test', 3);
  await until(() => leader.heard.length === 3);
  const after = open(['test'], { page: reloaded(page) });
  await live(after);
  await until(() => after.heard.length === 2);
  assert.deepEqual([after.heard, after.gaps, role(after)], [[2, 3], [], 'follower']);
  assert.equal(server.sent('subscribe').length, 1);
});

test('what the other page does not have any more comes from the server, on a socket of its own', async () => {
  const page = open();
  await live(page);
  server.publish('test', 1);
  await until(() => page.heard.length === 1);
  page.fire('pagehide');
  server.publish('test', 2);
  const leader = open();
  await live(leader);
  server.publish('test', 3);
  const after = open(['test'], { page: reloaded(page) });
  await live(after);
  await until(() => after.heard.length === 2);
  assert.deepEqual([after.heard, after.gaps, role(after)], [[2, 3], [], 'alone']);
  assert.deepEqual(leader.heard, [3]);
});

test('each page gets the frames of its own channels only', async () => {
  const pages = [open(['test']), open(['other'])];
  await live(...pages);
  const frames = [];
  pages[1].rtm.trace(({ direction, text }) => direction === 'in' && frames.push(JSON.parse(text).channel));
  server.publish('test', 1);
  server.publish('other', 2);
  await until(() => pages[1].heard.length === 1);
  assert.deepEqual(frames, ['other']);
});

test('a page takes frames from the leader that has welcomed it and from no other', async () => {
  const pages = [open(), open()];
  await live(...pages);
  const { name, data: { id } } = browser.said.findLast(({ data }) => data.kind === 'hello');
  const stranger = new pages[0].window.BroadcastChannel(name);
  const forged = { channel: 'test', payload: { value: 'forged' }, id: 'x', epoch: 'E1', offset: 99 };
  stranger.postMessage({ kind: 'frame', to: [id], term: 'other', text: JSON.stringify(forged) });
  server.publish('test', 1);
  await until(() => pages[1].heard.length === 1);
  assert.deepEqual(pages[1].heard, [1]);
  stranger.close();
});

const ofFamily = (offset) =>
  ({ channel: 'a:1', eventName: null, payload: { value: offset }, id: 'p' + offset, epoch: 'E1', offset });

test('a wildcard that comes later knows how far the other one is', async () => {
  const [leader, early] = [open(['a:*']), open(['a:*'])];
  await live(leader, early);
  server.say(ofFamily(5));
  await until(() => leader.heard.length === 1);
  const late = open(['a:*']);
  await live(late);
  server.say(ofFamily(6));
  await until(() => late.heard.length === 1);
  const after = open(['a:*']);
  await live(after);
  assert.deepEqual([early.heard, late.heard, after.heard], [[5, 6], [6], []]);
  assert.deepEqual(after.connection.feeds[0].position, { channel: 'a:1', epoch: 'E1', offset: 6 });
  late.fire('pagehide');
  server.say(ofFamily(7));
  await until(() => after.heard.length === 1);
  const again = open(['a:*'], { page: reloaded(late) });
  await live(again);
  await until(() => again.heard.length === 1);
  assert.deepEqual([again.heard, again.gaps, role(again)], [[7], [], 'follower']);
});

test('a replay that would bring old messages to another page goes over a socket of its own', async () => {
  const page = open(['a:*']);
  await live(page);
  server.say(ofFamily(5));
  await until(() => page.heard.length === 1);
  page.fire('pagehide');
  const leader = open(['a:1']);
  await live(leader);
  const after = open(['a:*'], { page: reloaded(page) });
  await live(after);
  assert.deepEqual([role(leader), role(after)], ['leader', 'alone']);
  assert.deepEqual((await server.heard('subscribe', 3)).since, { channel: 'a:1', epoch: 'E1', offset: 5 });
});

test('a page that begins anew hears nothing old', async () => {
  const [leader] = [open(['test', 'a:*'])];
  await live(leader);
  server.publish('test', 1);
  await until(() => leader.heard.length === 1);
  const late = open(['test', 'a:*']);
  await live(late);
  server.publish('test', 2);
  await until(() => late.heard.length === 1);
  assert.deepEqual(late.heard, [2]);
});

test('a page hears no more than its own token grants, though the socket may', async () => {
  server.user = 'SCOTT';
  server.channels = ['user:SCOTT', 'a', 'b:*'];
  const wide = open(['a', 'b:1', ''], { token: tokenOf('SCOTT', ['a', 'b:*']) });
  await live(wide);
  const narrow = open(['a', 'b:1', ''], { token: tokenOf('SCOTT', ['b:1']) });
  await until(() => narrow.refusals.length === 1);
  await live(wide);
  assert.deepEqual([narrow.refusals, narrow.connection.grants], [['forbidden'], ['user:SCOTT', 'b:1']]);
  server.publish('a', 1);
  server.publish('b:1', 2);
  await until(() => narrow.heard.length === 2); // by its name, and as all that is granted
  assert.deepEqual(narrow.heard, [2, 2]);
});

test('the socket has the fewest tokens that grant all, and gives back those of a page that goes', async () => {
  server.user = 'SCOTT';
  const [a, b] = [tokenOf('SCOTT', ['a']), tokenOf('SCOTT', ['b'])];
  const first = open(['a'], { token: a });
  await live(first);
  const second = open(['b'], { token: b });
  await live(second);
  assert.deepEqual((await server.heard('refresh')).tokens.sort(), [a, b].sort());
  const third = open(['a'], { token: tokenOf('SCOTT', ['a']) });
  await live(third);
  assert.equal(server.sent('refresh').length, 1);
  second.fire('pagehide');
  assert.equal((await server.heard('refresh', 2)).tokens.length, 1);
});

test('a refused token ends the page that brought it, and the others go on', async () => {
  server.user = 'SCOTT';
  const good = open(['test'], { token: tokenOf('SCOTT', ['test']) });
  await live(good);
  server.override('refresh', ({ id }, socket) => {
    socket.send(JSON.stringify({ type: 'error', id, code: 'unauthorized', message: 'no' }));
    socket.close(4501, 'unauthorized');
  });
  const bad = open(['test'], { token: tokenOf('SCOTT', ['other']) });
  await until(() => bad.connection.state === 'closed');
  await server.heard('connect', 2);
  await live(good);
  server.publish('test', 1);
  await until(() => good.heard.length === 1);
  assert.equal(good.connection.changes.some(({ state }) => state === 'disconnected'), false);
});

test('only the page whose token ends is asked for another', async () => {
  server.user = 'SCOTT';
  const asked = [];
  const token = (channel, exp) => {
    const claims = JSON.stringify({ sub: 'SCOTT', sid: '1', channels: [channel], exp });
    return `head.${Buffer.from(claims).toString('base64url')}.signature`;
  };
  const from = (name) => () => asked.push(name) && token(name, 4000000000);
  const pages = ['a', 'b'].map((name, place) =>
    open([name], { token: token(name, 3000000000 + place * 600), getToken: from(name) }));
  await live(...pages);
  server.say({ type: 'expiring', expiresAt: 3000000000 });
  assert.equal((await server.heard('refresh', 2)).tokens.length, 2);
  assert.deepEqual(asked, ['a']);
});

test('a page that is not granted a channel any more loses it, though another page has the right', async () => {
  server.user = 'SCOTT';
  const token = (channels, exp) => {
    const claims = JSON.stringify({ sub: 'SCOTT', sid: '1', channels, exp });
    return `head.${Buffer.from(claims).toString('base64url')}.signature`;
  };
  const moved = open(['a'], { token: token(['a'], 3000000000), getToken: () => token(['b'], 4000000000) });
  await live(moved);
  const other = open(['a'], { token: token(['a', 'c'], 4000000000) });
  await live(other);
  server.say({ type: 'expiring', expiresAt: 3000000000 });
  await until(() => moved.connection.grants.includes('b'));
  server.publish('a', 1);
  await until(() => other.heard.length === 1);
  await until(() => moved.refusals.length === 1);
  assert.deepEqual([moved.heard, moved.refusals, other.refusals], [[], ['forbidden'], []]);
});

test('a page that leaves while the socket is dialled takes nobody with it who has just come', async () => {
  const sent = [];
  const ended = [];
  const { window, rtm } = browser.page();
  let dialled;
  window.WebSocket = class extends WebSocket {
    constructor(...address) {
      super(...address);
      dialled = this;
    }
  };
  const port = { deliver: (to, text) => sent.push([to, JSON.parse(text).type]), end: (...end) => ended.push(end) };
  const mux = new rtm._parts.Mux(server.url, port);
  mux.join('first');
  mux.say('first', '{"type":"connect","id":1}');
  mux.join('second');
  mux.leave('first');
  await new Promise((resolve) => dialled.addEventListener('open', resolve));
  mux.say('second', '{"type":"connect","id":1}');
  await until(() => sent.length === 1);
  assert.deepEqual([sent, ended], [[[['second'], 'connected']], []]);
  mux.close();
});

test('all pages are told that the user was revoked', async () => {
  const pages = [open(), open()];
  await live(...pages);
  server.end(4503, 'revoked');
  await until(() => pages.every(({ connection }) => connection.state === 'closed'));
});

test('who comes later is told who is here', async () => {
  server.override('subscribe', ({ id, channel, presence }) => ({
    type: 'subscribed', id, channel, epoch: 'E1', offset: 0, recovered: false,
    presence: presence && { connections: 1, users: { SCOTT: 1 } },
  }));
  const first = open(['chat'], { presence: true });
  await live(first);
  server.say({ type: 'presence', channel: 'chat', connections: 2, users: 2, joined: ['KING'], left: [] });
  await until(() => first.present.length === 2);
  const second = open(['chat'], { presence: true });
  await live(second);
  const plain = open(['chat']);
  await live(plain);
  server.say({ type: 'presence', channel: 'chat', connections: 1, users: 1, joined: [], left: ['KING'] });
  await until(() => first.present.length === 3 && second.present.length === 2);
  assert.deepEqual(second.present, [['KING', 'SCOTT'], ['SCOTT']]);
  assert.equal(server.connections, 1);
});

test('who wants to know who is here where nobody else does asks for itself', async () => {
  const first = open(['chat']);
  await live(first);
  const second = open(['chat'], { presence: true });
  await live(second);
  assert.deepEqual([role(first), role(second)], ['leader', 'alone']);
});

test('a socket that has died is replaced when a page notices', async () => {
  const [leader, follower] = [open(), open()];
  await live(leader, follower);
  server.override('ping', () => null);
  follower.show(true);
  await server.heard('ping');
  const { now } = Date;
  Date.now = () => now() + 5000;
  try {
    follower.clock.advance(5000);
    await until(() => leader.connection.state !== 'connected');
  } finally {
    Date.now = now;
  }
  server.overrides.delete('ping');
  leader.clock.advance(20000);
  follower.clock.advance(20000);
  await live(leader, follower);
  await until(() => server.sockets.clients.size === 1);
});

test('a server that goes and comes back finds all pages again on one socket', async () => {
  const pages = [open(), open()];
  await live(...pages);
  server.cut();
  await until(() => pages.every(({ connection }) => connection.state === 'disconnected'));
  server.publish('test', 1);
  for (const { clock } of pages) clock.advance(500);
  await live(...pages);
  await until(() => pages.every(({ heard }) => heard.length === 1));
  assert.equal(server.sockets.clients.size, 1);
});

test('no token is stored', async () => {
  const token = tokenOf('SCOTT', ['test']);
  server.user = 'SCOTT';
  const page = open(['test'], { token });
  await live(page);
  page.fire('pagehide');
  assert.equal(JSON.stringify(page.storage.keys.map((key) => [key, page.storage.getItem(key)])).includes(token), false);
});
