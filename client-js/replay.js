/*
 * replay.js: what a page that comes later has missed of a shared socket. Part of mux.js. MIT License.
 * Gives all of what came after a position, or nothing: half of it would be a loss that nobody is told of.
 */
(function (/** @type {Window & typeof globalThis} */ root) {
  'use strict';

  const { _parts: parts } = root.rtm;
  if (Object.keys(root.rtm).includes('connect')) return; // two plug-ins on a page both bring this file

  const MAX_PUBLICATIONS = 1000;
  const MAX_CHARACTERS = 1 << 20;

  /** @param {any} one @param {any} other */
  const isSame = (one, other) =>
    Boolean(one && other) && ['channel', 'epoch', 'offset'].every((name) => one[name] === other[name]);

  /** @implements {RtmReplay} */
  class Replay {
    constructor() {
      this.count = 0; // of all that came, ever
      this._kept = /** @type {RtmKept[]} */ ([]);
      this._characters = 0;
    }

    /**
     * @param {RtmPublication} publication @param {string} text its frame
     * @param {string} replayed the subscription that the server replays to just now, if it is one of those that take it
     */
    add({ channel, epoch, offset }, text, replayed) {
      this.count += 1;
      this._kept.push({ number: this.count, channel, epoch, offset, text, replayed });
      this._characters += text.length;
      while (this._kept.length > MAX_PUBLICATIONS || this._characters > MAX_CHARACTERS) {
        this._characters -= (this._kept.shift() || { text: '' }).text.length;
      }
    }

    /**
     * The frames after `since` that a subscription has brought, or null where they are not all here.
     * @param {RtmMuxSubscription} sub @param {RtmPosition} since @param {string | null} user
     */
    after(sub, since, user) {
      const found = sub.isPrefix ? this._ofPrefix(sub, since, user) : this._ofChannel(sub, since);
      return found && found.map(({ text }) => text);
    }

    /** Offsets have no holes, so that their number tells. @param {RtmMuxSubscription} sub @param {RtmPosition} since */
    _ofChannel({ name, last, begin }, since) {
      const { epoch, offset } = /** @type {RtmPosition} */ (last || begin);
      if (since.epoch !== epoch) return null;
      const found = new Map();
      for (const one of this._kept) {
        if (one.channel === name && one.epoch === epoch && one.offset > since.offset) found.set(one.offset, one);
      }
      if (found.size < offset - since.offset) return null;
      return /** @type {RtmKept[]} */ (Array.from(found.values())).sort((one, other) => one.offset - other.offset);
    }

    /** @param {RtmMuxSubscription} sub @param {RtmPosition} since @param {string | null} user */
    _ofPrefix({ name, since: first, begin, from }, since, user) {
      const known = this._kept.find((one) => one.number > from && isSame(one, since));
      const start = isSame(since, first) || isSame(since, begin) ? from : known && known.number;
      const oldest = this._kept[0] ? this._kept[0].number : this.count + 1;
      if (start === undefined || oldest > start + 1) return null;
      const later = this._kept.filter((one) => one.number > start && parts.takes(name, one.channel, user));
      return later.some(({ replayed }) => replayed && replayed !== name) ? null : later;
    }
  }

  /**
   * Who is here after somebody came or went, as whoever comes now would be told. Of a crowd only the number is known.
   * @param {RtmSnapshot} before @param {any} news @returns {RtmSnapshot}
   */
  function meet({ users }, { connections, users: count, joined, left }) {
    if (!joined || typeof users !== 'object') return { connections, users: count };
    const names = Object.keys(users).filter((name) => !left.includes(name)).concat(joined);
    return { connections, users: Object.fromEntries(names.map((name) => [name, 1])) };
  }

  Object.assign(parts, { Replay, meet });
})(typeof self === 'undefined' ? /** @type {any} */ (globalThis) : self);
