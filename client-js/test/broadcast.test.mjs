// The Broadcast dynamic action: what leaves the browser, and what happens when it fails.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { FakeApex } from '../fakes/apex.mjs';
import { Page } from '../fakes/page.mjs';

let page;
let apex;

beforeEach(() => {
  apex = new FakeApex({ P10_MESSAGE: 'Hello', P10_LIST: ['A', 'B'], P10_EMPTY: null });
  page = new Page({ window: { apex } });
});

const resumeCallback = () => undefined;

/** Runs the dynamic action as APEX does, with its settings as attributes. */
function broadcast(attributes, context = {}) {
  const action = { ajaxIdentifier: 'AJAX', attribute01: 'P10_MESSAGE', ...attributes };
  return page.rtm.broadcast.call({ action, ...context });
}

test('the value of the item goes to the plug-in, and nothing that names a receiver', () => {
  broadcast({ attribute04: 'secret-channel' });
  assert.deepEqual(apex.ajax, [{ ajaxIdentifier: 'AJAX', data: { x01: 'Hello', pageItems: [] } }]);
});

test('the settings may be given as an object, with further items for session state', () => {
  const config = { ajaxIdentifier: 'OTHER', itemName: 'P10_LIST', pageItems: ['P10_EMPTY'] };
  page.rtm.broadcast({ action: {} }, config);
  assert.deepEqual(apex.ajax, [{ ajaxIdentifier: 'OTHER', data: { x01: 'A:B', pageItems: ['P10_EMPTY'] } }]);
  broadcast({ attribute03: 'P10_EMPTY,P10_LIST' });
  assert.deepEqual(apex.ajax[1].data.pageItems, ['P10_EMPTY', 'P10_LIST']);
});

test('an empty item and no item at all send an empty value', () => {
  broadcast({ attribute01: 'P10_EMPTY' });
  broadcast({ attribute01: '' });
  assert.deepEqual(apex.ajax.map(({ data }) => data.x01), ['', '']);
});

test('what is too long for a VARCHAR2 goes as CLOB', () => {
  for (const [length, field] of [[8000, 'x01'], [8001, 'p_clob_01']]) {
    apex.items.set('P10_MESSAGE', 'x'.repeat(length));
    broadcast({});
    assert.deepEqual(Object.keys(apex.ajax.at(-1).data), [field, 'pageItems']);
  }
});

test('waiting for the result: the following actions go on when it is there', () => {
  broadcast({}, { resumeCallback });
  assert.deepEqual(apex.resumed, [false]);
});

test('on error: what the user sees, what is logged, what goes on', () => {
  apex.answer = new Error('<b>ORA-24247</b>');
  const table = [
    ['show', 1, 'error', false],
    ['log', 0, 'error', false],
    ['ignore', 0, 'info', false],
    ['stop', 1, 'error', true],
    ['LOG', 0, 'error', false],
    [undefined, 0, 'error', false],
  ];
  for (const [onError, messages, level, hasFailed] of table) {
    Object.assign(apex, { messages: [], logged: [], resumed: [] });
    assert.equal(broadcast({ attribute02: onError }, { resumeCallback }), undefined);
    assert.equal(apex.messages.length, messages, onError);
    assert.deepEqual(apex.logged.map(([one]) => one), [level], onError);
    assert.deepEqual(apex.resumed, [hasFailed], onError);
  }
});

test('an error is shown as text', () => {
  apex.answer = new Error('<b>ORA-24247</b>');
  broadcast({ attribute02: 'show' });
  assert.deepEqual(apex.messages, [{ type: 'error', location: 'page', message: '<b>ORA-24247</b>', unsafe: true }]);
});

test('an item that is not on the page is an error before anything is sent', () => {
  assert.equal(broadcast({ attribute01: 'P99_X', attribute02: 'stop' }), false);
  assert.equal(broadcast({ attribute01: 'P99_X', attribute02: 'show' }), undefined);
  assert.match(apex.messages[0].message, /P99_X/);
  assert.equal(broadcast({ attribute01: 'P99_X', attribute02: 'stop' }, { resumeCallback }), undefined);
  assert.deepEqual(apex.resumed, [true]);
  assert.deepEqual(apex.ajax, []);
});

test('the user sees the text of the developer, the console the reason', () => {
  apex.answer = new Error('Internal Server Error');
  const config = { itemName: 'P10_MESSAGE', onError: 'show', errorText: 'Not <b>sent</b>.' };
  page.rtm.broadcast({ action: { ajaxIdentifier: 'AJAX' } }, config);
  page.rtm.broadcast({ action: { ajaxIdentifier: 'AJAX' } }, { ...config, itemName: 'P99_X' });
  const shown = { type: 'error', location: 'page', message: 'Not <b>sent</b>.', unsafe: true };
  assert.deepEqual(apex.messages, [shown]);
  assert.deepEqual(apex.logged.map(([, words]) => words.replace(/.*failed: /, '')), [
    'Internal Server Error', 'There is no item P99_X on this page',
  ]);
});
