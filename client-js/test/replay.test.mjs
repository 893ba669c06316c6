// What a page that comes later has missed: all of it, or nothing.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Page } from '../fakes/page.mjs';

let replay;
let parts;

beforeEach(() => {
  parts = new Page().rtm._parts;
  replay = new parts.Replay();
});

const add = (channel, offset, { text = channel + '/' + offset, replayed = '', epoch = 'E' } = {}) =>
  replay.add({ channel, epoch, offset }, text, replayed);
const at = (channel, offset, epoch = 'E') => ({ channel, epoch, offset });
const sub = (name, members) => ({ name, isPrefix: name.endsWith('*'), from: 0, ...members });

test('a channel: what came after an offset, in order and once, whoever it came for', () => {
  for (const offset of [3, 4, 6, 5, 4]) add('a', offset);
  add('b', 9);
  const a = sub('a', { last: at('a', 6) });
  const after = (offset, epoch = 'E') => replay.after(a, at(undefined, offset, epoch), null);
  assert.deepEqual(after(3), ['a/4', 'a/5', 'a/6']);
  assert.deepEqual(after(2), ['a/3', 'a/4', 'a/5', 'a/6']);
  assert.equal(after(1), null);
  assert.deepEqual(after(6), []);
  assert.deepEqual(after(7), []);
  assert.equal(after(3, 'other'), null);
});

test('a channel that has brought nothing yet is where it began', () => {
  assert.deepEqual(replay.after(sub('a', { begin: at(undefined, 4) }), at(undefined, 4), null), []);
  assert.equal(replay.after(sub('a', { begin: at(undefined, 4) }), at(undefined, 3), null), null);
});

test('a wildcard: from where it began, from where it was asked for, or after one that it has brought', () => {
  add('a:0', 1);
  const begin = { epoch: 'J', offset: 7 };
  const wild = sub('a:*', { from: 1, begin, since: at('a:9', 4) });
  add('a:1', 5);
  add('b', 1);
  add('user:KING', 1);
  add('a:2', 3);
  assert.deepEqual(replay.after(wild, begin, 'SCOTT'), ['a:1/5', 'a:2/3']);
  assert.deepEqual(replay.after(wild, at('a:9', 4), 'SCOTT'), ['a:1/5', 'a:2/3']);
  assert.deepEqual(replay.after(wild, at('a:1', 5), 'SCOTT'), ['a:2/3']);
  assert.equal(replay.after(wild, at('a:0', 1), 'SCOTT'), null, 'what came before it began proves nothing');
  assert.equal(replay.after(wild, at('a:1', 4), 'SCOTT'), null);
  assert.deepEqual(replay.after({ ...wild, name: '*' }, begin, 'SCOTT'), ['a:1/5', 'b/1', 'a:2/3']);
});

test('a wildcard gives nothing while an old replay of another name lies in between', () => {
  const wild = sub('a:*', { begin: at(undefined, 1) });
  add('a:1', 2, { replayed: 'a:*' });
  assert.deepEqual(replay.after(wild, wild.begin, null), ['a:1/2']);
  add('a:1', 1, { replayed: 'a:1' });
  assert.equal(replay.after(wild, wild.begin, null), null);
});

test('a thousand publications or a million characters are kept', () => {
  for (let offset = 1; offset <= 1500; offset += 1) add('a', offset);
  const last = at('a', 1500);
  assert.equal(replay.after(sub('a', { last }), at(undefined, 500), null).length, 1000);
  assert.equal(replay.after(sub('a', { last }), at(undefined, 499), null), null);
  const wild = sub('*', { begin: at(undefined, 0) });
  assert.equal(replay.after(wild, wild.begin, null), null);
  add('a', 1501, { text: 'x'.repeat(1 << 20) });
  assert.equal(replay.after(sub('a', { last: at('a', 1501) }), at(undefined, 1500), null).length, 1);
  assert.equal(replay.after(sub('a', { last: at('a', 1501) }), at(undefined, 1499), null), null);
});

test('who is here: names while they are known, else their number', () => {
  const { meet } = parts;
  const first = { connections: 1, users: { SCOTT: 2 } };
  const second = meet(first, { connections: 3, users: 2, joined: ['KING'], left: [] });
  assert.deepEqual(second, { connections: 3, users: { SCOTT: 1, KING: 1 } });
  const crowd = meet(second, { connections: 900, users: 800 });
  assert.deepEqual(crowd, { connections: 900, users: 800 });
  assert.deepEqual(meet(crowd, { connections: 899, users: 799, joined: [], left: ['KING'] }).users, 799);
});
