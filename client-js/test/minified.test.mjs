// The small files that pages load are what terser makes of the sources, and do what the readable ones do.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Page, until } from '../fakes/page.mjs';
import { FakeServer } from '../fakes/server.mjs';
import { minified } from '../minify.mjs';

const small = (name) => readFileSync(new URL(`../../apex-plugins/js/${name}.min.js`, import.meta.url), 'utf8');
const SOURCES = {
  rtm_listener: [
    'subscriptions', 'tokens', 'replay', 'mux', 'tabs', 'rtm', 'actions', 'listener', 'debug',
  ],
  rtm_panel: ['panel'],
  rtm_broadcast: ['broadcast_da'],
};

for (const [name, sources] of Object.entries(SOURCES)) {
  test(`${name}.min.js is made of its sources`, async () => {
    const read = (source) => readFileSync(new URL(`../${source}.js`, import.meta.url), 'utf8');
    const [head, ...rest] = small(name).split('\n');
    assert.match(head, /^\/\* apex-rtm, MIT License, [0-9a-f]{16} \*\/$/);
    assert.equal(rest.join('\n'), await minified(sources.map(read).join('')), 'run python -m tools.plugins build');
  });
}

test('the small file does what the readable ones do, also where both are loaded', async (context) => {
  const server = await FakeServer.start();
  context.after(() => server.stop());
  const page = new Page({ load: [small('rtm_listener')] });
  const connection = page.connect({ url: server.url });
  const heard = [];
  connection.subscribe('test', { onPublication: ({ payload }) => heard.push(payload.value) });
  await server.heard('subscribe');
  const { connect } = page.rtm;
  page.load();
  page.load([small('rtm_listener')]);
  assert.equal(page.rtm.connect, connect);
  server.publish('test', 'Hello');
  await until(() => heard.length === 1);
  page.close();
  assert.deepEqual(page.errors, []);
});
