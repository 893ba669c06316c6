// The Listener dynamic action: what of a message reaches the page, and that it listens once.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { FakeApex } from '../fakes/apex.mjs';
import { Page, until } from '../fakes/page.mjs';
import { FakeServer, tokenOf } from '../fakes/server.mjs';

let server;
let page;
let apex;

beforeEach(async () => {
  server = await FakeServer.start();
  apex = new FakeApex({ P10_MESSAGE: '', P10_BROKEN: 'broken' });
  page = new Page({ window: { apex } });
});

afterEach(async () => {
  await server.stop();
  page.fire('pagehide'); // no attempt to come back
  assert.deepEqual(page.errors, []);
});

const context = { action: { name: 'RTM Listener', ajaxIdentifier: 'AJAX' }, browserEvent: 'load' };

/** Runs the dynamic action and waits until the server has its subscription. */
async function listen(config = {}, da = context) {
  const asked = server.sent('subscribe').length;
  page.rtm.listener(da, { url: server.url, channel: 'test', ...config });
  await server.heard('subscribe', asked + 1);
}

/** Publishes a payload as a whole, and a marker after it: when that has come, so has all that came of the payload. */
async function publish(payload, eventName = 'ping', channel = 'test') {
  const log = server.log(channel);
  log.end += 1;
  server.say({ channel, eventName, payload, id: 'x', epoch: log.epoch, offset: log.end });
  const done = new Promise((resolve) => {
    const end = page.rtm.trace(({ text }) => text.includes('"pong"') && (end(), resolve()));
  });
  server.say({ type: 'pong' });
  await done;
}

test('the message sets the item without a change event and is fired on document', async () => {
  await listen({ eventName: 'ping' });
  await publish({ itemName: 'P10_MESSAGE', value: 'Hello' });
  assert.deepEqual(apex.set, { name: 'P10_MESSAGE', value: 'Hello', display: null, isQuiet: true });
  const { target, data } = apex.events.find(({ name }) => name === 'rtm-message');
  assert.equal(target, page.document);
  assert.deepEqual(data.payload, { itemName: 'P10_MESSAGE', value: 'Hello' });
  assert.equal(data.eventName, 'ping');
});

test('the attributes of the action are settings too, with the action as this', async () => {
  const action = { attribute01: server.url, attribute02: 'news', attribute03: 'x', attribute04: 'my-event' };
  page.rtm.listener.call({ action });
  assert.equal((await server.heard('subscribe')).channel, 'news');
  await publish({}, 'other', 'news');
  await publish({}, 'x', 'news');
  assert.equal(apex.named('my-event').length, 1);
});

test('another event name is not for this action; an empty one takes all', async () => {
  await listen({ eventName: 'ping', id: '1' });
  page.rtm.listener(context, { url: server.url, channel: 'test', apexEvent: 'all', id: '2' });
  await publish({ value: 1 }, 'pong');
  await publish({ value: 2 }, null);
  await publish({ value: 3 }, 'ping');
  assert.deepEqual(apex.named('rtm-message').map(({ payload }) => payload.value), [3]);
  assert.deepEqual(apex.named('all').map(({ payload }) => payload.value), [1, 2, 3]);
});

test('who is here is asked for and told only where it was set', async () => {
  server.override('subscribe', ({ id, channel, presence }) => ({
    type: 'subscribed', id, channel, epoch: 'e', offset: 0, recovered: false,
    ...(presence && { presence: { connections: 2, users: { SCOTT: 1, KING: 1 } } }),
  }));
  await listen({ channel: 'quiet' });
  await listen({ channel: 'room', presence: true });
  await until(() => apex.named('rtm-presence').length === 1);
  assert.deepEqual(server.sent('subscribe').map(({ presence }) => presence), [undefined, true]);
  assert.deepEqual(apex.named('rtm-presence')[0].names, ['KING', 'SCOTT']);
  assert.equal(apex.named('rtm-presence')[0].channel, 'room');
});

test('an empty channel listens to all that is granted', async () => {
  server.channels = ['a', 'b:*'];
  page.rtm.listener(context, { url: server.url });
  await server.heard('subscribe', 2);
  assert.deepEqual(server.sent('subscribe').map(({ channel }) => channel), ['a', 'b:*']);
});

test('payloads without item or value set nothing and are still fired', async () => {
  await listen();
  const payloads = [
    null, 'text', 7, [], {}, { value: 'x' }, { itemName: 'P10_MESSAGE' }, { itemName: 7, value: 'x' },
    { itemName: 'P99_ELSEWHERE', value: 'x' }, { itemName: 'P10_MESSAGE', value: { a: 1 } },
    { itemName: 'P10_MESSAGE', value: [{}] }, { itemName: '__proto__', value: 'x' },
  ];
  for (const payload of payloads) await publish(payload);
  assert.equal(apex.set, undefined);
  assert.equal(apex.named('rtm-message').length, payloads.length);
});

test('null empties the item, numbers and lists of values are passed on', async () => {
  await listen();
  const set = [];
  for (const value of [null, 0, false, '', ['A', 'B']]) {
    await publish({ itemName: 'P10_MESSAGE', value });
    set.push(apex.set.value);
  }
  assert.deepEqual(set, ['', 0, false, '', ['A', 'B']]);
});

test('an item that cannot be set does not keep the event back', async () => {
  await listen();
  await publish({ itemName: 'P10_BROKEN', value: 'x' });
  assert.equal(apex.named('rtm-message').length, 1);
  assert.match(apex.logged.at(-1).join(' '), /error.*not set/);
});

test('an action that fires twice listens once', async () => {
  await listen();
  page.rtm.listener(context, { url: server.url, channel: 'test' });
  page.rtm.listener.call(context, undefined, { url: server.url, channel: 'test' });
  await publish({});
  assert.equal(apex.named('rtm-message').length, 1);
});

test('actions that differ in address, channel, event or id all listen, on one connection', async () => {
  await listen({ id: '1' });
  for (const config of [{ id: '2' }, { id: '1', eventName: 'ping' }, { id: '1', channel: 'other' }]) {
    page.rtm.listener(context, { url: server.url, channel: 'test', ...config });
  }
  await server.heard('subscribe', 2);
  await publish({});
  assert.equal(apex.named('rtm-message').length, 3);
  assert.equal(server.connections, 1);
});

test('after the end of a connection the action may begin again', async () => {
  await listen();
  server.end(4503, 'revoked');
  await until(() => apex.named('rtm-disconnected').length === 1);
  assert.equal(apex.named('rtm-disconnected')[0].isFinal, true);
  await listen();
});

test('the page hears once of an outage and once of its end, however many listeners and attempts', async () => {
  await listen();
  page.rtm.listener(context, { url: server.url, channel: 'other' });
  await until(() => apex.named('rtm-connected').length === 1);
  const { url } = server;
  server.cut();
  await until(() => apex.named('rtm-disconnected').length === 1);
  server.override('connect', (command, socket) => void socket.terminate());
  for (let attempt = 2; attempt <= 4; attempt += 1) {
    page.clock.advance(page.clock.waiting[0]);
    await server.heard('connect', attempt);
    await until(() => page.clock.waiting.length === 1 && page.clock.waiting[0] < 15000);
  }
  assert.equal(apex.named('rtm-disconnected').length, 1);
  assert.deepEqual(apex.named('rtm-disconnected')[0], { url, code: 1006, reason: '', isFinal: false });
  server.overrides.clear();
  page.clock.advance(page.clock.waiting[0]);
  await until(() => apex.named('rtm-connected').length === 2);
});

test('leaving the page is no outage', async () => {
  await listen();
  page.fire('pagehide');
  assert.deepEqual(apex.named('rtm-disconnected'), []);
});

test('a gap is told once to the page, not once to each listener', async () => {
  await listen({ id: '1' });
  page.rtm.listener(context, { url: server.url, channel: 'test', id: '2' });
  await publish({});
  server.publish('test', 'lost');
  server.forget('test');
  server.log('test').epoch = 'E2';
  server.cut();
  await until(() => apex.named('rtm-disconnected').length === 1);
  page.clock.advance(page.clock.waiting[0]);
  await until(() => apex.named('rtm-gap').length > 0);
  assert.equal(apex.named('rtm-gap').length, 1);
  assert.equal(apex.named('rtm-gap')[0].channel, 'test');
});

test('a refused channel is logged and told', async () => {
  server.override('subscribe', ({ id }) => ({ type: 'error', id, code: 'forbidden', message: 'not granted' }));
  await listen();
  await until(() => apex.named('rtm-error').length === 1);
  assert.deepEqual(apex.named('rtm-error')[0], { channel: 'test', code: 'forbidden', message: 'not granted' });
  assert.match(apex.logged.at(-1).join(' '), /error.*forbidden/);
});

test('a new token comes from the plug-in, without a word to the user', async () => {
  apex.answer = { token: 'fresh' };
  await listen({ token: tokenOf('SCOTT', ['test']) });
  server.say({ type: 'expiring', expiresAt: 1 });
  assert.equal((await server.heard('refresh')).token, 'fresh');
  assert.deepEqual(apex.ajax, [{ ajaxIdentifier: 'AJAX', data: { x01: 'token' } }]);
  apex.answer = new Error('Your session has ended');
  server.say({ type: 'expiring', expiresAt: 1 });
  await until(() => apex.ajax.length === 2);
  assert.deepEqual(apex.messages, []);
});

test('in open mode the database is never asked for a token', async () => {
  await listen();
  server.end(4001, 'token_expired');
  await until(() => apex.named('rtm-disconnected').length === 1);
  assert.equal(apex.named('rtm-disconnected')[0].isFinal, true);
  assert.deepEqual(apex.ajax, []);
});

test('an address that is none is logged and the page goes on', () => {
  page.rtm.listener(context, { url: 'ftp://x', channel: 'test' });
  assert.match(apex.logged.at(-1).join(' '), /error.*cannot listen to ftp/);
});
