// What a page wants and how far it got, without a socket: what is said to the server and what the page is told.

import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { FakeStorage, Page } from '../fakes/page.mjs';

let page;
let said;
let retries;
let subscriptions;

function begin(storage) {
  page = new Page({ storage });
  said = [];
  retries = 0;
  const port = { say: (command) => said.push(command), retry: () => (retries += 1) };
  subscriptions = new page.rtm._parts.Subscriptions('key', port);
  subscriptions.grant(null, ['*']);
}

beforeEach(() => {
  mock.restoreAll();
  begin(new FakeStorage());
});

/** Says the wish; what comes of it is collected. */
function want(channel, { eager = true, presence = false } = {}) {
  const news = { messages: [], gaps: [], errors: [], presence: [] };
  const callbacks = {
    onPublication: ({ channel: from, offset }) => news.messages.push(from + '/' + offset),
    onGap: (gap) => news.gaps.push(gap),
    onError: (refusal) => news.errors.push(refusal.code),
    ...(presence ? { onPresence: (picture) => news.presence.push(picture) } : {}),
  };
  news.subscription = subscriptions.add(channel, callbacks);
  if (eager) subscriptions.flush();
  return news;
}

/** The last command of that type, with its id: the place in which it was said. */
const last = (type) => {
  const index = said.findLastIndex((command) => command.type === type);
  return { ...said[index], id: index + 1 };
};
const names = (type) => said.filter((command) => command.type === type).map(({ channel }) => channel);
const publish = (channel, offset, epoch = 'E') => subscriptions.hear({ channel, epoch, offset, payload: null });
/** Answers the last subscribe to `channel`. */
function answer(channel, members) {
  const id = said.findLastIndex((command) => command.type === 'subscribe' && command.channel === channel) + 1;
  subscriptions.hear({ type: 'subscribed', id, channel, recovered: false, epoch: 'E', offset: 0, ...members });
}
function pong() {
  const { id } = last('ping');
  assert.notEqual(id, 0, 'nothing was asked after the replay');
  subscriptions.hear({ type: 'pong', id });
}
/** The connection was cut and is there again. */
function reconnect() {
  subscriptions.reset();
  said.length = 0;
  subscriptions.flush();
}
/** The `since` that the next connection would ask for. */
function sinceOf(channel) {
  reconnect();
  return said.find((command) => command.type === 'subscribe' && command.channel === channel).since;
}

test('two wishes for a channel are one question to the server', () => {
  const first = want('a', { eager: false });
  const second = want('a');
  assert.deepEqual(names('subscribe'), ['a']);
  publish('a', 1);
  assert.deepEqual([first.messages, second.messages], [['a/1'], ['a/1']]);
});

test('the channel is left when the last of its wishes is', () => {
  const first = want('a');
  const second = want('a');
  answer('a');
  first.subscription.unsubscribe();
  assert.deepEqual(names('unsubscribe'), []);
  second.subscription.unsubscribe();
  second.subscription.unsubscribe();
  assert.deepEqual(names('unsubscribe'), ['a']);
  publish('a', 1);
  assert.deepEqual(second.messages, []);
});

test('a wish that is taken back before it was sent is never sent', () => {
  want('a', { eager: false }).subscription.unsubscribe();
  subscriptions.flush();
  assert.deepEqual(said, []);
});

test('exact names are asked for before wildcards, whatever the order on the page', () => {
  for (const channel of ['b:*', 'b:1', '*', 'a']) want(channel, { eager: false });
  subscriptions.flush();
  assert.deepEqual(names('subscribe'), ['b:1', 'a', 'b:*', '*']);
});

test('a name takes itself, a prefix what starts with it, and no user gets the channel of another', () => {
  const { takes } = page.rtm._parts;
  const table = [
    ['a', 'a', null, true], ['a', 'ab', null, false], ['A', 'a', null, false], ['a*', 'ab', null, true],
    ['a*', 'a', null, true], ['a*', 'ba', null, false], ['*', '', null, true], ['**', '*x', null, true],
    ['*', 'user:KING', null, true], ['*', 'user:KING', 'SCOTT', false], ['us*', 'user:SCOTT', 'SCOTT', true],
    ['user:*', 'user:KING', 'SCOTT', false], ['user:KING', 'user:KING', 'SCOTT', true], ['*', 'users', 'SCOTT', true],
  ];
  for (const [name, channel, user, expected] of table) {
    assert.equal(takes(name, channel, user), expected, `${name} ${channel} ${user}`);
  }
});

test('the position is that of the answer, then that of the last publication', () => {
  want('a');
  assert.equal(last('subscribe').since, undefined);
  answer('a', { offset: 12 });
  assert.deepEqual(sinceOf('a'), { epoch: 'E', offset: 12 });
  answer('a', { recovered: true, offset: 12 });
  publish('a', 13);
  assert.deepEqual(sinceOf('a'), { epoch: 'E', offset: 13 });
});

test('recovered: the position of the page stays, whatever the answer names', () => {
  want('a');
  answer('a', { offset: 12 });
  reconnect();
  answer('a', { recovered: true, epoch: 'other', offset: 99 });
  assert.deepEqual(sinceOf('a'), { epoch: 'E', offset: 12 });
});

test('not recovered: each wish hears of the gap, and the position starts anew', () => {
  const one = want('a');
  const two = want('a');
  answer('a', { offset: 12 });
  assert.deepEqual(one.gaps, []);
  reconnect();
  answer('a', { epoch: 'F', offset: 3 });
  const gap = { channel: 'a', since: { epoch: 'E', offset: 12 }, position: { epoch: 'F', offset: 3 } };
  assert.deepEqual([one.gaps, two.gaps], [[gap], [gap]]);
  assert.deepEqual(sinceOf('a'), { epoch: 'F', offset: 3 });
});

test('what was there already is not told again; another epoch is another count', () => {
  const news = want('a');
  answer('a');
  for (const offset of [1, 2, 2, 1, 3]) publish('a', offset);
  publish('a', 1, 'F');
  assert.deepEqual(news.messages, ['a/1', 'a/2', 'a/3', 'a/1']);
});

test('overlapping wishes hear a publication once each', () => {
  const exact = want('a:1');
  const wide = want('a:*');
  answer('a:1');
  answer('a:*');
  publish('a:1', 1);
  publish('a:2', 1);
  assert.deepEqual([exact.messages, wide.messages], [['a:1/1'], ['a:1/1', 'a:2/1']]);
});

test('a replay to one of two overlapping wishes repeats nothing to the other', () => {
  const exact = want('a:1');
  const wide = want('a:*');
  answer('a:1');
  answer('a:*');
  publish('a:1', 1);
  reconnect();
  answer('a:1', { recovered: true, offset: 1 });
  publish('a:1', 2);
  answer('a:*', { recovered: true, offset: 1 });
  publish('a:1', 1);
  publish('a:1', 2);
  assert.deepEqual([exact.messages, wide.messages], [['a:1/1', 'a:1/2'], ['a:1/1', 'a:1/2']]);
});

test('a wildcard goes on from the journal, then from the last publication that came through it', () => {
  want('a:*');
  answer('a:*', { epoch: 'J', offset: 8812 });
  assert.deepEqual(sinceOf('a:*'), { epoch: 'J', offset: 8812 });
  answer('a:*', { recovered: true, epoch: 'J', offset: 8812 });
  pong();
  publish('a:7', 3);
  assert.deepEqual(sinceOf('a:*'), { channel: 'a:7', epoch: 'E', offset: 3 });
});

test('a cut in the middle of a replay loses nothing of it, even when another wish is already ahead', () => {
  want('a:1');
  want('a:*');
  answer('a:1');
  answer('a:*', { epoch: 'J' });
  publish('a:2', 1);
  reconnect();
  answer('a:1', { recovered: true });
  publish('a:1', 5); // live; a:2/2 and a:2/3 are yet to be replayed
  answer('a:*', { recovered: true, offset: 1 });
  publish('a:2', 2);
  publish('a:1', 6);
  assert.deepEqual(sinceOf('a:*'), { channel: 'a:2', epoch: 'E', offset: 2 });
});

test('when the replay is over the position catches up with all that has come', () => {
  want('a:1');
  want('a:*');
  answer('a:1');
  answer('a:*', { epoch: 'J' });
  publish('a:2', 1);
  reconnect();
  answer('a:1', { recovered: true });
  answer('a:*', { recovered: true, offset: 1 });
  publish('a:2', 2);
  publish('a:1', 6);
  pong();
  assert.deepEqual(sinceOf('a:*'), { channel: 'a:1', epoch: 'E', offset: 6 });
  answer('a:1', { recovered: true });
  answer('a:*', { recovered: true });
  pong(); // nothing was missed: nothing moves
  assert.deepEqual(sinceOf('a:*'), { channel: 'a:1', epoch: 'E', offset: 6 });
  answer('a:1', { recovered: true });
  answer('a:*', { recovered: true });
  pong();
  publish('a:1', 7);
  assert.deepEqual(sinceOf('a:*'), { channel: 'a:1', epoch: 'E', offset: 7 });
});

test('a wildcard that could not be recovered begins at the end of the journal', () => {
  const news = want('a:*');
  answer('a:*', { epoch: 'J', offset: 5 });
  reconnect();
  publish('a:1', 9);
  answer('a:*', { epoch: 'J', offset: 20 });
  pong();
  assert.equal(news.gaps.length, 1);
  assert.deepEqual(sinceOf('a:*'), { epoch: 'J', offset: 20 });
  answer('a:*', { recovered: true });
  pong(); // what came before the gap is no position any more
  assert.deepEqual(sinceOf('a:*'), { epoch: 'J', offset: 20 });
});

test('a wildcard over millions of channels does not grow for ever', () => {
  const news = want('*');
  answer('*');
  for (let number = 0; number < 3000; number += 1) publish('c' + number, 1);
  publish('c2999', 1);
  assert.equal(news.messages.length, 3000);
  assert.equal(subscriptions._feeds.get('*').seen.size, 1000);
});

test('of the channels of a wildcard the busy ones are remembered', () => {
  const news = want('*');
  answer('*');
  publish('busy', 1);
  for (let number = 0; number < 999; number += 1) publish('c' + number, 1);
  publish('busy', 2);
  publish('one more', 1);
  publish('busy', 2);
  assert.equal(news.messages.filter((message) => message === 'busy/2').length, 1);
});

test('a wildcard does not see what only an exact name was granted', () => {
  subscriptions.grant('SCOTT', ['*', 'user:KING']);
  const wide = want('*');
  const exact = want('user:KING');
  publish('user:KING', 1);
  publish('user:SCOTT', 1);
  assert.deepEqual([wide.messages, exact.messages], [['user:SCOTT/1'], ['user:KING/1']]);
});

test('of a channel that was left and wanted again only the last question counts', () => {
  want('a').subscription.unsubscribe();
  const news = want('a');
  subscriptions.hear({ type: 'subscribed', id: 1, channel: 'a', epoch: 'E', offset: 3, recovered: false });
  subscriptions.hear({ type: 'error', id: 1, code: 'already_subscribed' });
  subscriptions.hear({ type: 'unsubscribed', id: 2, channel: 'a', code: 'client' });
  publish('a', 4);
  answer('a', { offset: 4 });
  publish('a', 5);
  assert.deepEqual(said.map(({ type }) => type), ['subscribe', 'unsubscribe', 'subscribe']);
  assert.deepEqual([news.messages, news.errors], [['a/4', 'a/5'], []]);
  assert.deepEqual(sinceOf('a'), { epoch: 'E', offset: 5 });
});

test('presence wanted before the first answer came is not lost', () => {
  want('a');
  const news = want('a', { presence: true });
  subscriptions.hear({ type: 'subscribed', id: 1, channel: 'a', epoch: 'E', offset: 3, recovered: false });
  answer('a', { offset: 3, presence: { connections: 1, users: {} } });
  assert.equal(news.presence.length, 1);
});

test('what the server says of channels that nobody wants is passed over', () => {
  for (const type of ['presence', 'unsubscribed', 'subscribed', 'error', 'pong', 'tomorrow']) {
    subscriptions.hear({ type, channel: 'nobody', code: 'revoked', users: 1 });
  }
  assert.deepEqual(said, []);
});

test('a refusal is told once and not repeated on this connection', () => {
  const news = want('a');
  subscriptions.hear({ type: 'error', id: 1, code: 'forbidden', message: 'no' });
  subscriptions.flush();
  assert.deepEqual(news.errors, ['forbidden']);
  assert.deepEqual(names('subscribe'), ['a']);
  reconnect();
  assert.deepEqual(names('subscribe'), ['a']);
});

test('what was refused is asked for again when the token grants more', () => {
  want('a');
  subscriptions.hear({ type: 'error', id: 1, code: 'forbidden', message: 'no' });
  subscriptions.grant(null, ['*']);
  subscriptions.flush();
  assert.deepEqual(names('subscribe'), ['a', 'a']);
});

test('a server that cannot now is asked again later', () => {
  const news = want('a');
  for (const code of ['rate_limited', 'unavailable', 'internal']) {
    subscriptions.hear({ type: 'error', id: last('subscribe').id, code });
    subscriptions.flush();
  }
  assert.deepEqual(news.errors, []);
  assert.equal(retries, 3);
  assert.equal(names('subscribe').length, 4);
});

test('a server that thinks it has the subscription is told to drop it first', () => {
  want('a');
  subscriptions.hear({ type: 'error', id: 1, code: 'already_subscribed' });
  subscriptions.flush();
  assert.deepEqual(said.map(({ type }) => type), ['subscribe', 'unsubscribe', 'subscribe']);
});

test('a right that ends is told, and nothing more comes through it', () => {
  const news = want('a');
  answer('a');
  subscriptions.hear({ type: 'unsubscribed', channel: 'a', code: 'revoked' });
  publish('a', 1);
  assert.deepEqual([news.errors, news.messages], [['revoked'], []]);
});

test('whoever wants all gets each grant once, without those inside another', () => {
  subscriptions.grant('SCOTT', ['user:SCOTT', 'app:*', 'app:1', 'chat']);
  const news = want('');
  assert.deepEqual(names('subscribe'), ['user:SCOTT', 'chat', 'app:*']);
  publish('app:1', 1);
  publish('chat', 1);
  assert.deepEqual(news.messages, ['app:1/1', 'chat/1']);
});

test('whoever wants all follows the grants, wider or narrower', () => {
  subscriptions.grant('SCOTT', ['app:1', 'chat']);
  want('');
  said.length = 0;
  subscriptions.grant('SCOTT', ['app:*']);
  subscriptions.flush();
  assert.deepEqual([names('unsubscribe'), names('subscribe')], [['app:1', 'chat'], ['app:*']]);
});

test('whoever wanted all and is gone does not come back with the next grants', () => {
  want('').subscription.unsubscribe();
  assert.deepEqual(names('unsubscribe'), ['*']);
  subscriptions.grant(null, ['*']);
  subscriptions.flush();
  assert.deepEqual(names('subscribe'), ['*']);
});

test('positions outlive a reload, of all channels and for the first wish only', () => {
  want('a');
  want('__proto__');
  answer('a', { offset: 2 });
  answer('__proto__', { offset: 5 });
  publish('a', 3);
  subscriptions.save();
  begin(page.storage);
  const news = want('a');
  assert.deepEqual(last('subscribe').since, { epoch: 'E', offset: 3 });
  subscriptions.save(); // __proto__ is still wanted by nobody and stays known
  want('__proto__');
  assert.deepEqual(last('subscribe').since, { epoch: 'E', offset: 5 });
  news.subscription.unsubscribe();
  want('a');
  assert.equal(last('subscribe').since, undefined);
});

test('a page that was left five minutes ago begins anew', () => {
  want('a');
  answer('a', { offset: 2 });
  subscriptions.save();
  const left = Date.now();
  mock.method(Date, 'now', () => left + 300000);
  begin(page.storage);
  want('a');
  assert.equal(last('subscribe').since, undefined);
});

test('storage that throws, or holds rubbish, costs the memory and nothing else', () => {
  const throws = () => {
    throw new Error('SecurityError');
  };
  for (const getItem of [throws, () => '{', () => '[]', () => 'null', () => '{"at":9e15,"positions":7}']) {
    begin({ getItem, setItem: throws });
    const news = want('a');
    answer('a');
    publish('a', 1);
    subscriptions.save();
    assert.deepEqual(news.messages, ['a/1']);
  }
});

test('a wish that comes after another feed brought its channel does not pretend to be without a gap', () => {
  want('a:1');
  want('a:*');
  answer('a:1');
  answer('a:*');
  publish('a:1', 1);
  subscriptions.save();
  begin(page.storage);
  want('a:*');
  answer('a:*', { recovered: true });
  publish('a:1', 2);
  const late = want('a:1');
  assert.equal(last('subscribe').since, undefined);
  answer('a:1', { offset: 2 });
  assert.deepEqual(late.gaps.map(({ since }) => since), [{ epoch: 'E', offset: 1 }]);
});

test('presence: the picture, its changes, and only numbers once names are left out', () => {
  const news = want('a', { presence: true });
  assert.equal(last('subscribe').presence, true);
  answer('a', { presence: { connections: 3, users: { SCOTT: 2, KING: 1 } } });
  const change = (members) => subscriptions.hear({ type: 'presence', channel: 'a', connections: 3, ...members });
  change({ users: 2, joined: ['ADAMS'], left: ['KING'] });
  change({ users: 900 });
  change({ users: 901, joined: ['BLAKE'], left: [] });
  assert.deepEqual(news.presence.map(({ names: who }) => who), [['KING', 'SCOTT'], ['ADAMS', 'SCOTT'], null, null]);
  assert.deepEqual(news.presence.map(({ users }) => users), [2, 2, 900, 901]);
  assert.deepEqual(news.presence[1].left, ['KING']);
});

test('presence wanted later: the channel is asked for again, and further wishes get the picture at once', () => {
  want('a');
  answer('a', { offset: 4 });
  const second = want('a', { presence: true });
  assert.deepEqual(said.map(({ type }) => type), ['subscribe', 'unsubscribe', 'subscribe']);
  assert.deepEqual(last('subscribe').since, { epoch: 'E', offset: 4 });
  answer('a', { recovered: true, presence: { connections: 1, users: {} } });
  const third = want('a', { presence: true });
  assert.deepEqual([second.presence.length, third.presence.length, names('subscribe').length], [1, 1, 2]);
  reconnect();
  assert.equal(want('a', { presence: true }).presence.length, 0); // nobody knows who is there now
});

test('a channel without presence still gives its publications', () => {
  const news = want('a', { presence: true });
  subscriptions.hear({ type: 'error', id: 1, code: 'forbidden', message: 'no presence here' });
  assert.equal(last('subscribe').presence, undefined);
  answer('a');
  publish('a', 1);
  assert.deepEqual([news.errors, news.messages], [[], ['a/1']]);
});

test('wildcards are never asked for presence', () => {
  want('a:*', { presence: true });
  assert.equal(last('subscribe').presence, undefined);
});

test('one wish that fails does not keep the message from the others', () => {
  subscriptions.add('a', {
    onPublication() {
      throw new Error('mine');
    },
  });
  const news = want('a');
  answer('a');
  publish('a', 1);
  assert.deepEqual(news.messages, ['a/1']);
  assert.equal(page.errors.length, 1);
  assert.deepEqual(sinceOf('a'), { epoch: 'E', offset: 1 }); // or it would come again after every cut
});
