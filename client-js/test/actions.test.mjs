// What a message does to the page: item, refresh, notification, and storms that stay small.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { FakeApex } from '../fakes/apex.mjs';
import { Page } from '../fakes/page.mjs';

let page;
let apex;

beforeEach(() => {
  apex = new FakeApex({ P10_MESSAGE: '', P20_TOTAL: '' });
  page = new Page({ window: { apex } });
});

function act(payload, settings) {
  page.rtm._act({ channel: 'test', eventName: 'ping', payload, meta: { user: 'KING' } }, settings);
}

test('without actions the message names the item, with an empty list nothing is done', () => {
  act({ itemName: 'P10_MESSAGE', value: 'a' }, {});
  act({ itemName: 'P10_MESSAGE', value: 'b' }, { actions: [] });
  assert.equal(apex.items.get('P10_MESSAGE'), 'a');
});

test('the developer may name the item; the payload is then an object with value, or the value itself', () => {
  act({ value: 1 }, { actions: ['item'], itemName: 'P20_TOTAL' });
  assert.equal(apex.items.get('P20_TOTAL'), 1);
  act('two', { actions: ['item'], itemName: 'P20_TOTAL' });
  assert.equal(apex.items.get('P20_TOTAL'), 'two');
  act({ itemName: 'P10_MESSAGE', value: 'x' }, { actions: ['item'], itemName: 'P20_TOTAL' });
  assert.equal(apex.items.get('P10_MESSAGE'), '');
  assert.equal(apex.items.get('P20_TOTAL'), 'x');
});

test('a hundred messages refresh a region once, and once more for those that came after', () => {
  const settings = { actions: ['refresh'], regions: ['EMP', 'GONE'], refreshIntervalMs: 1000, refreshSpreadMs: 0 };
  for (let n = 0; n < 100; n += 1) act({}, settings);
  page.clock.advance(0);
  assert.deepEqual(apex.refreshed, ['EMP']);
  for (let n = 0; n < 100; n += 1) act({}, settings);
  page.clock.advance(500);
  assert.deepEqual(apex.refreshed, ['EMP'], 'the interval is not over');
  page.clock.advance(600);
  assert.deepEqual(apex.refreshed, ['EMP', 'EMP']);
});

test('a refresh waits a random part of the spread', () => {
  act({}, { actions: ['refresh'], regions: ['EMP'], refreshSpreadMs: 400 });
  assert.deepEqual(apex.refreshed, []);
  page.clock.advance(400);
  assert.deepEqual(apex.refreshed, ['EMP']);
});

test('a hidden tab refreshes when it is looked at, once', () => {
  const settings = { actions: ['refresh'], regions: ['EMP'], refreshSpreadMs: 0, waitWhileHidden: true };
  page.show(false);
  act({}, settings);
  act({}, settings);
  page.clock.advance(60000);
  assert.deepEqual(apex.refreshed, []);
  page.show(true);
  assert.deepEqual(apex.refreshed, ['EMP']);
});

test('a notification is filled from the publication and from nothing else', () => {
  const notify = (payload, template) => act(payload, { actions: ['notify'], template });
  notify({ value: '<b>17</b>' }, 'Order #payload.value# by #meta.user# on #channel# #payload.none#.');
  notify({ value: { deep: 1 } }, '[#payload.value#][#payload.constructor#][#__proto__.x#][#payload.value.deep#]');
  notify({ value: 'plain' }, undefined);
  notify({}, undefined);
  assert.deepEqual(apex.shown, ['Order \u2039b>17\u2039/b> by KING on test .', '[][][][1]', 'plain']);
});

test('a clock that is put back does not hold a refresh for as long', () => {
  const settings = { actions: ['refresh'], regions: ['EMP'], refreshIntervalMs: 1000, refreshSpreadMs: 0 };
  act({}, settings);
  page.clock.advance(0);
  const { now } = Date;
  Date.now = () => now() - 3600000;
  try {
    act({}, settings);
    page.clock.advance(1000);
  } finally {
    Date.now = now;
  }
  assert.deepEqual(apex.refreshed, ['EMP', 'EMP']);
});

test('a region that fails when a tab is looked at again keeps no other from its refresh', () => {
  const { region } = apex;
  const fail = () => {
    throw new Error('this region cannot');
  };
  apex.region = Object.assign((id) => (id === 'DEPT' ? { refresh: fail } : region(id)), region);
  page.show(false);
  act({}, { actions: ['refresh'], regions: ['DEPT', 'EMP'], refreshSpreadMs: 0, waitWhileHidden: true });
  page.clock.advance(60000);
  page.show(true);
  assert.deepEqual(apex.refreshed, ['EMP']);
  assert.equal(page.errors.length, 1);
});

test('a message without payload leaves what stands in the item', () => {
  act('typed', { actions: ['item'], itemName: 'P10_MESSAGE' });
  act(null, { actions: ['item', 'refresh'], itemName: 'P10_MESSAGE', regions: ['EMP'], refreshSpreadMs: 0 });
  page.clock.advance(0);
  assert.deepEqual([apex.items.get('P10_MESSAGE'), apex.refreshed], ['typed', ['EMP']]);
});
