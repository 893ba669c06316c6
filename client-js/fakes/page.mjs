// A browser page with the project's files loaded: the window is made here, so that time, storage and network are the
// test's own. `new Page({ storage: other.storage })` is the same page after a reload.

import { readFileSync } from 'node:fs';
import { WebSocket } from 'ws';
import { FakeClock } from './clock.mjs';

const PARTS = ['subscriptions.js', 'tokens.js', 'replay.js', 'mux.js', 'tabs.js'];
const FILES = [...PARTS, 'rtm.js', 'actions.js', 'listener.js', 'broadcast_da.js'];
const SOURCES = FILES.map((name) => readFileSync(new URL('../' + name, import.meta.url), 'utf8'));

/** As in a browser, a socket that fails says so by its close event. */
class BrowserSocket extends WebSocket {
  constructor(...address) {
    super(...address);
    this.on('error', () => {});
  }
}

export class FakeStorage {
  #values = new Map();

  getItem(key) {
    return this.#values.get(key) ?? null;
  }

  setItem(key, value) {
    this.#values.set(key, value);
  }

  get keys() {
    return Array.from(this.#values.keys());
  }
}

export class Page {
  /** @param {{storage?: object, path?: string, window?: object, WebSocket?: unknown, load?: string[]}} [differences] */
  constructor({ storage = new FakeStorage(), path = '/f', WebSocket: Socket = BrowserSocket, window = {}, load } = {}) {
    this.clock = new FakeClock();
    this.storage = storage;
    this.errors = [];
    this.document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
    this.window = Object.assign(new EventTarget(), {
      WebSocket: Socket,
      setTimeout: this.clock.setTimeout,
      clearTimeout: this.clock.clearTimeout,
      sessionStorage: storage,
      document: this.document,
      location: { href: 'http://apex.test' + path, pathname: path },
      console: { error: (...words) => this.errors.push(words) },
      atob,
      ...window,
    });
    this.connections = [];
    this.load(load);
  }

  load(sources = SOURCES) {
    for (const source of sources) new Function('self', source)(this.window);
  }

  get rtm() {
    return this.window.rtm;
  }

  /** rtm.connect, with the changes of state noted in `connection.changes`. */
  connect(options) {
    const connection = this.rtm.connect(options);
    connection.changes = [];
    connection.onState((change) => connection.changes.push(change));
    this.connections.push(connection);
    return connection;
  }

  fire(name) {
    this.window.dispatchEvent(new Event(name));
  }

  show(isVisible) {
    this.document.visibilityState = isVisible ? 'visible' : 'hidden';
    this.document.dispatchEvent(new Event('visibilitychange'));
  }

  close() {
    for (const connection of this.connections) connection.close();
  }
}

/** Lets the event loop turn until `isTrue`: what a test waits for has happened, or it fails after five seconds. */
export async function until(isTrue, what = String(isTrue)) {
  const end = Date.now() + 5000;
  while (!isTrue()) {
    if (Date.now() > end) throw new Error('in vain: ' + what);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
