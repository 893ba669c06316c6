// What the pages of one browser share: Web Locks and BroadcastChannel, as their specifications say, in one process.
// `browser.page()` is a tab; `browser.crash(page)` ends it without an event; `browser.stick(page)` lets nothing more
// reach it until `wake`, as when a script does not end.

import { Page } from './page.mjs';

class Locks {
  #queues = new Map();

  constructor(owner, queues) {
    this.owner = owner;
    this.#queues = queues;
  }

  request(name, { steal = false, signal } = {}, callback) {
    const queue = this.#queues.get(name) || [];
    this.#queues.set(name, queue);
    return new Promise((resolve, reject) => {
      const request = { owner: this.owner, callback, resolve, reject, isHeld: false };
      if (steal) {
        const [holder] = queue;
        if (holder && holder.isHeld) queue.shift().reject(new Error('AbortError: stolen'));
        queue.unshift(request);
      } else {
        queue.push(request);
      }
      const abort = () => {
        if (request.isHeld || !queue.includes(request)) return;
        queue.splice(queue.indexOf(request), 1);
        reject(new Error('AbortError'));
      };
      if (signal) signal.addEventListener('abort', abort);
      grant(queue);
    });
  }
}

function grant(queue) {
  setImmediate(() => {
    const [first] = queue;
    if (!first || first.isHeld) return;
    first.isHeld = true;
    Promise.resolve(first.callback({})).then((value) => {
      if (queue[0] !== first) return;
      queue.shift();
      first.resolve(value);
      grant(queue);
    });
  });
}

export class Browser {
  #queues = new Map();
  #channels = new Set();
  pages = [];
  /** What was said on channels: `{name, data}`. */
  said = [];

  /** @param {object} [differences] as those of a Page */
  page({ window = {}, ...differences } = {}) {
    const owner = { isStuck: false };
    const channels = this.#channels;
    const { said } = this;
    class Channel {
      onmessage = (_event) => {};

      constructor(name) {
        this.name = name;
        this.owner = owner;
        channels.add(this);
      }

      postMessage(data) {
        said.push({ name: this.name, data: structuredClone(data) });
        for (const other of channels) {
          if (other === this || other.name !== this.name) continue;
          const deliver = () => channels.has(other) && other.onmessage({ data: structuredClone(data) });
          setImmediate(() => (other.owner.isStuck ? other.owner.missed.push(deliver) : deliver()));
        }
      }

      close() {
        channels.delete(this);
      }
    }
    const navigator = { locks: new Locks(owner, this.#queues) };
    const shared = { BroadcastChannel: Channel, AbortController, navigator, isSecureContext: true };
    const page = new Page({ window: { ...shared, ...window }, ...differences });
    page.owner = owner;
    this.pages.push(page);
    return page;
  }

  /** The page does nothing more until `wake`, and does not know it. */
  stick(page) {
    Object.assign(page.owner, { isStuck: true, missed: [] });
  }

  wake(page) {
    page.owner.isStuck = false;
    for (const deliver of page.owner.missed.splice(0)) deliver();
  }

  crash(page) {
    this.stick(page);
    for (const channel of Array.from(this.#channels)) if (channel.owner === page.owner) this.#channels.delete(channel);
    for (const queue of this.#queues.values()) {
      const kept = queue.filter(({ owner }) => owner !== page.owner);
      queue.splice(0, queue.length, ...kept);
      grant(queue);
    }
  }

  close() {
    for (const page of this.pages) page.close();
  }
}
