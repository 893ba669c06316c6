/*
 * tokens.js: the tokens of a page, and whose turn it is to get a new one. Part of rtm.js. MIT License.
 * Each Listener has a token for its own channel, renewed through its own plug-in. They are kept in memory only.
 */
(function (/** @type {Window & typeof globalThis} */ root) {
  'use strict';

  const { _parts: parts } = root.rtm;
  if (Object.keys(root.rtm).includes('connect')) return; // two plug-ins on a page both bring this file

  const MAX_TOKENS = 50; // what a connection may have (docs/protocol.md, section 4)
  const MAX_CHARACTERS = 48000; // and what fits into one frame of its 64 KiB
  const TOGETHER_S = 60; // tokens that end within a minute are renewed at once: they were rendered with one page

  /**
   * Reads what a token says of its owner, rights and end. The server alone judges whether it is true.
   * @param {string | undefined} token @returns {RtmClaims}
   */
  function claimsOf(token) {
    try {
      const body = root.atob(String(String(token).split('.')[1]).replace(/-/g, '+').replace(/_/g, '/'));
      const claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(body, (c) => c.charCodeAt(0))));
      const grants = ['user:' + claims.sub].concat(claims.channels || []);
      return { owner: JSON.stringify([claims.sub, claims.sid]), session: claims.sid, grants, endsAt: claims.exp || 0 };
    } catch {
      return { owner: '', session: undefined, grants: [], endsAt: 0 };
    }
  }

  /** As the server reads grants: a prefix holds no `user:` channel. @param {string[]} wide @param {string[]} narrow */
  function covers(wide, narrow) {
    const isCovered = (/** @type {string} */ name) => wide.some((grant) => parts.takes(grant, name, ''));
    return narrow.length > 0 && narrow.every(isCovered);
  }

  /** The fewest of some tokens that grant all, those that live longest first. @param {string[]} tokens */
  function fewest(tokens) {
    const read = tokens.map((token) => ({ token, ...claimsOf(token) })).sort((a, b) => b.endsAt - a.endsAt);
    /** @type {typeof read} */
    const kept = [];
    for (const one of read) {
      const isHeld = kept.some(({ token, grants }) => token === one.token || covers(grants, one.grants));
      if (!isHeld) kept.push(one);
    }
    return kept.map(({ token }) => token);
  }

  /** @param {string[]} tokens whether a connection could have them all */
  function fit(tokens) {
    return tokens.length <= MAX_TOKENS && tokens.join('').length <= MAX_CHARACTERS;
  }

  /** @implements {RtmWallet} */
  class Wallet {
    /** @param {RtmOptions} options */
    constructor(options) {
      this._keys = [this._key(options)];
    }

    /** @param {RtmOptions} options */
    _key({ token, getToken }) {
      return { token, getToken, isEnded: !token, ...claimsOf(token), spare: /** @type {any[]} */ ([]) };
    }

    /** Whether one must be fetched before the server can be asked. Without any that can be, this is open mode. */
    get isShort() {
      return this._keys.some(({ isEnded, getToken }) => isEnded && getToken);
    }

    /** What `connect` and `refresh` carry. */
    get credentials() {
      const tokens = this._keys.filter(({ isEnded }) => !isEnded).map(({ token }) => token);
      return tokens.length > 1 ? { tokens } : { token: tokens[0] };
    }

    /**
     * Takes in what another listener has; what is covered by a wider one is not kept twice. Returns whether the server
     * must be told, null where there is no room.
     * @param {RtmOptions} options @returns {boolean | null}
     */
    add(options) {
      const key = this._key(options);
      const wider = this._keys.find(({ token, grants }) => token === key.token || covers(grants, key.grants));
      if (!key.token || (wider && !wider.isEnded)) {
        const heir = wider || this._keys[0];
        if (heir && heir.getToken && key.token !== heir.token) heir.spare.push(key);
        else if (heir) heir.getToken = heir.getToken || key.getToken;
        return false;
      }
      const narrower = this._keys.filter(({ grants }) => covers(key.grants, grants));
      const others = this._keys.filter((one) => !narrower.includes(one));
      if (!fit(others.concat(key).map(({ token }) => token || ''))) return null;
      key.getToken = key.getToken || narrower.map(({ getToken }) => getToken).find(Boolean);
      key.spare = narrower.flatMap((one) => [one, ...one.spare.splice(0)]);
      this._keys = others.concat(key);
      return true;
    }

    /**
     * The server says that the first of them has ended. False when none is left, and none can be had.
     */
    end() {
      const first = Math.min(...this._keys.map(({ endsAt }) => endsAt));
      for (const key of this._endingBy(Math.max(first, Date.now() / 1000 - TOGETHER_S))) key.isEnded = true;
      this._keys = this._keys.filter(({ isEnded, getToken }) => !isEnded || getToken);
      return this._keys.length > 0;
    }

    /** @param {number} time seconds since 1970 */
    _endingBy(time) {
      return this._keys.filter(({ endsAt, isEnded }) => isEnded || endsAt <= time + TOGETHER_S);
    }

    /**
     * The Listeners that a wider one stood for have rights of their own, which do not end with its.
     * @param {any} key @param {string[]} grants what it still stands for
     */
    _release(key, grants) {
      for (const one of key.spare.splice(0)) {
        if (covers(grants, one.grants)) key.spare.push(one);
        else if (fit(this._keys.concat(one).map(({ token }) => token || ''))) this._keys.push(one);
        one.isEnded = true;
      }
    }

    /**
     * Fetches new tokens for those that have ended and those that end by `time`, each through its own listener.
     * Rejects when none came. One that did not come leaves the others at work: a Listener whose authorization has ended
     * must not silence the page. Resolves with whether it was any.
     * @param {number} [time] seconds since 1970
     */
    async renew(time) {
      const first = Math.min(...this._keys.map(({ endsAt }) => endsAt));
      const due = time === undefined ? this._endingBy(-Infinity) : this._endingBy(Math.max(time, first));
      const asked = due.filter(({ getToken }) => getToken);
      /** @type {unknown} */
      let failure;
      const fetched = await Promise.all(asked.map(async (key) => {
        try {
          const token = await /** @type {() => any} */ (key.getToken)();
          if (!token) throw new TypeError('getToken gave none');
          Object.assign(key, { token, isEnded: false }, claimsOf(token));
          this._release(key, key.grants);
          return true;
        } catch (error) {
          failure = error;
          this._release(key, []);
          return false;
        }
      }));
      if (failure && !this._keys.some(({ isEnded }) => !isEnded)) throw failure;
      return fetched.includes(true);
    }
  }

  Object.assign(parts, { Wallet, claimsOf, fewest, fit });
})(typeof self === 'undefined' ? /** @type {any} */ (globalThis) : self);
