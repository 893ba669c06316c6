/*
 * mux.js: one socket for the pages of several tabs. Part of tabs.js. MIT License.
 * Each page talks as if the server were its own (docs/protocol.md) and hears what it would have heard then. Whoever
 * asks for what the shared socket cannot give exactly, as a replay that is gone, is sent away to a socket of its own.
 */
(function (/** @type {Window & typeof globalThis} */ root) {
  'use strict';

  const { _parts: parts } = root.rtm;
  if (Object.keys(root.rtm).includes('connect')) return; // two plug-ins on a page both bring this file

  const { takes } = parts;
  const TOGETHER_S = 60; // as in tokens.js
  const PATIENCE_MS = 4000; // a page leaves after that long without an answer: then it is the socket that is dead

  /** @param {string} one @param {string} other */
  const overlap = (one, other) => takes(one, other, null) || takes(other, one, null);

  class Mux {
    /** @param {string} url @param {RtmMuxPort} port */
    constructor(url, port) {
      this._url = url;
      this._port = port;
      this._pages = /** @type {Map<string, RtmMuxPage>} */ (new Map());
      this._subs = /** @type {Map<string, RtmMuxSubscription>} */ (new Map());
      this._asked = /** @type {Map<number, RtmMuxQuestion>} */ (new Map());
      this._replay = new parts.Replay();
      this._lastId = 0;
      this._socket = /** @type {WebSocket | null} */ (null);
      this._isReady = false;
      this._early = /** @type {[string, any][]} */ ([]); // said before the server has accepted the first page
      this._told = ''; // the credentials that the server has
      this._endsAt = 0;
      this._hello = /** @type {any} */ ({});
      this._blamed = '';
    }

    /** @param {string} id of a page that comes */
    join(id) {
      if (this._pages.has(id)) return;
      this._pages.set(id, { id, tokens: [], names: new Map(), presence: new Set(), pings: [] });
    }

    /** @param {string} id @param {string} text a frame of the page */
    say(id, text) {
      const page = this._pages.get(id);
      if (!page) return; // it was sent away, and has said this before it knew
      const command = JSON.parse(text);
      if (this._isReady) return this._obey(page, command);
      if (command.type === 'connect') page.tokens = tokensOf(command);
      this._early.push([id, command]);
      if (!this._socket) this._dial();
    }

    /** The page is gone. @param {string} id */
    leave(id) {
      const page = this._pages.get(id);
      if (!page) return;
      const isDead = Array.from(this._asked.values()).some((one) => one.id === id && Date.now() - one.at > PATIENCE_MS);
      this._forget(page);
      if (isDead) return this._lost(0, 'server is silent');
      if (!this._pages.size) this.close();
      else if (this._isReady && this._credentials() !== this._told) this._refresh('', 0);
    }

    close() {
      this._pages.clear();
      this._drop();
    }

    // ---- the socket ----

    _dial() {
      try {
        this._socket = new root.WebSocket(this._url, 'rtm.v1');
      } catch (error) {
        return this._lost(4999, String(error)); // the address is refused: every further attempt fails too
      }
      const socket = this._socket;
      socket.onopen = () => this._introduce();
      socket.onmessage = ({ data }) => socket === this._socket && this._hear(String(data));
      socket.onclose = ({ code, reason }) => socket === this._socket && this._lost(code, reason);
    }

    /** The first page's tokens alone: of a refusal it must be clear whom it means. */
    _introduce() {
      const first = this._early.find(([id, { type }]) => type === 'connect' && this._pages.has(id));
      if (!first) return this._drop(); // whoever else has come speaks in a moment, and finds no socket
      this._early.splice(this._early.indexOf(first), 1);
      const [id, command] = first;
      this._told = JSON.stringify(this._page(id).tokens);
      this._ask({ id, type: 'connect', command }, command);
    }

    _drop() {
      const socket = this._socket;
      this._socket = null;
      this._isReady = false;
      this._early = [];
      this._subs.clear();
      this._asked.clear();
      if (socket) socket.close(1000);
    }

    /**
     * The socket is gone. A page whose token was the cause is told so, the others just ask again.
     * @param {number} code @param {string} reason
     */
    _lost(code, reason) {
      const all = Array.from(this._pages.values());
      let guilty = all.filter(({ id }) => id === this._blamed);
      if (!guilty.length && code === 4001) guilty = this._ending(this._endsAt);
      this._blamed = '';
      this._pages.clear();
      this._drop();
      const isMeant = (/** @type {RtmMuxPage} */ page) => !guilty.length || guilty.includes(page);
      for (const page of all) this._port.end(page.id, isMeant(page) ? code : 0, isMeant(page) ? reason : 'moved');
    }

    /** @param {Omit<RtmMuxQuestion, 'at'>} question @param {any} command */
    _ask(question, command) {
      const id = (this._lastId += 1);
      this._asked.set(id, { ...question, at: Date.now() });
      if (this._socket) this._socket.send(JSON.stringify({ ...command, id }));
    }

    // ---- what pages say ----

    /** @param {string} id @returns {RtmMuxPage} */
    _page(id) {
      return /** @type {RtmMuxPage} */ (this._pages.get(id));
    }

    /** @param {RtmMuxPage} page @param {any} command */
    _obey(page, command) {
      if (command.type === 'connect' || command.type === 'refresh') {
        page.tokens = tokensOf(command);
        const wanted = this._credentials();
        if (!parts.fit(JSON.parse(wanted))) this._expel(page);
        else if (wanted === this._told) this._welcome(page, command);
        else this._refresh(page.id, command);
      } else if (command.type === 'subscribe') {
        this._subscribe(page, command);
      } else if (command.type === 'unsubscribe') {
        this._unsubscribe(page, command.channel);
        this._answer(page, command, { type: 'unsubscribed', channel: command.channel, code: 'client' });
      } else if (command.type === 'ping' && this._isSettling(page)) {
        page.pings.push(command); // its answer says that all is replayed that was asked for before
      } else {
        this._ask({ id: page.id, type: 'other', command }, command);
      }
    }

    /** All tokens that the pages need, as JSON. */
    _credentials() {
      return JSON.stringify(parts.fewest(Array.from(this._pages.values()).flatMap(({ tokens }) => tokens)));
    }

    /** @param {string} id of the page that is to be told, if any @param {any} command */
    _refresh(id, command) {
      this._told = this._credentials();
      this._ask({ id, type: 'refresh', command }, { type: 'refresh', tokens: JSON.parse(this._told) });
    }

    /** What the page would be granted on a socket of its own. @param {RtmMuxPage} page @returns {string[]} */
    _grantsOf(page) {
      if (this._hello.user === null) return this._hello.channels;
      return Array.from(new Set(page.tokens.flatMap((token) => parts.claimsOf(token).grants)));
    }

    /** The pages share a user, but not what each was granted. @param {RtmMuxPage} page @param {string} name */
    _mayHave(page, name) {
      const isPrivate = name.startsWith('user:') && !name.endsWith('*');
      const holds = (/** @type {string} */ grant) => grant === name || (!isPrivate && takes(grant, name, null));
      return this._hello.user === null || this._grantsOf(page).some(holds);
    }

    /** The server ends what no page may have, this what others may. @param {RtmMuxPage} page @param {any} command */
    _welcome(page, command) {
      const type = command.type === 'connect' ? 'connected' : 'refreshed';
      this._answer(page, command, { ...this._hello, type, channels: this._grantsOf(page) });
      for (const channel of Array.from(page.names.keys()).filter((name) => !this._mayHave(page, name))) {
        this._unsubscribe(page, channel);
        this._answer(page, {}, { type: 'unsubscribed', channel, code: 'forbidden' });
      }
    }

    /** @param {RtmMuxPage} page @param {any} command @param {any} frame */
    _answer(page, { id }, frame) {
      this._port.deliver([page.id], JSON.stringify({ ...frame, id }));
    }

    /** Sends a page to a socket of its own. @param {RtmMuxPage} page */
    _expel(page) {
      this._port.end(page.id, 0, 'alone');
      this.leave(page.id);
    }

    /** @param {RtmMuxPage} page */
    _forget(page) {
      this._pages.delete(page.id);
      this._early = this._early.filter(([id]) => id !== page.id);
      for (const sub of this._subs.values()) sub.waiting = sub.waiting.filter(([id]) => id !== page.id);
      for (const name of Array.from(this._subs.keys())) this._unsubscribe(page, name);
    }

    /** @param {RtmMuxPage} page */
    _isSettling(page) {
      return Array.from(this._subs.values()).some(({ isBusy, asker, waiting }) =>
        isBusy && (asker === page.id || waiting.some(([id]) => id === page.id)));
    }

    // ---- subscriptions ----

    /** @param {RtmMuxPage} page @param {any} command */
    _subscribe(page, command) {
      const { channel: name, since, presence } = command;
      const refuse = (/** @type {string} */ code) =>
        this._answer(page, command, { type: 'error', code, message: 'not granted' });
      if (page.names.has(name)) return refuse('already_subscribed');
      if (!this._mayHave(page, name)) return refuse('forbidden');
      const others = Array.from(this._subs.values()).filter((one) => overlap(one.name, name));
      const [busy, sub] = [others.find(({ isBusy }) => isBusy), this._subs.get(name)];
      if (busy) return void busy.waiting.push([page.id, command]);
      if (sub) return this._share(sub, page, command);
      // A replay would bring old news to pages that hear the same through another name, or be refused for their sake.
      if (since && others.some(({ members }) => Array.from(members).some((id) => id !== page.id))) {
        return this._expel(page);
      }
      const asked = {
        name, isPrefix: name.endsWith('*'), asker: page.id, members: new Set(), waiting: [], isBusy: true,
        since: undefined, begin: undefined, last: undefined, from: 0, presence: undefined,
      };
      this._subs.set(name, asked);
      const question = { id: page.id, command, sub: asked };
      this._ask({ ...question, type: 'subscribe' }, { type: 'subscribe', channel: name, since, presence });
      // After the pong nothing of the replay is left to come.
      if (since) this._ask({ ...question, type: 'settle' }, { type: 'ping' });
    }

    /**
     * One page more for what comes already.
     * @param {RtmMuxSubscription} sub @param {RtmMuxPage} page @param {any} command
     */
    _share(sub, page, command) {
      const { since, presence } = command;
      const missed = since ? this._replay.after(sub, since, this._hello.user) : [];
      if (!missed || (presence && !sub.presence)) return this._expel(page);
      const position = since || sub.last || sub.begin;
      sub.members.add(page.id);
      page.names.set(sub.name, sub.isPrefix ? null : position);
      if (presence) page.presence.add(sub.name);
      this._answer(page, command, {
        type: 'subscribed', channel: sub.name, epoch: position.epoch, offset: position.offset,
        recovered: Boolean(since), presence: presence && sub.presence, last: sub.isPrefix ? position : undefined,
      });
      for (const text of missed) this._port.deliver([page.id], text);
    }

    /** @param {RtmMuxPage} page @param {string} name */
    _unsubscribe(page, name) {
      page.names.delete(name);
      page.presence.delete(name);
      for (const one of this._subs.values()) {
        one.waiting = one.waiting.filter(([id, { channel }]) => id !== page.id || channel !== name);
      }
      const sub = this._subs.get(name);
      if (!sub || (!sub.members.delete(page.id) && sub.asker !== page.id) || sub.members.size) return;
      this._subs.delete(name);
      this._ask({ id: '', type: 'other', command: {} }, { type: 'unsubscribe', channel: name });
      this._settle(sub);
    }

    /** Those who waited for this one go on. @param {RtmMuxSubscription} sub */
    _settle(sub) {
      sub.isBusy = false;
      sub.asker = '';
      for (const [id, command] of sub.waiting.splice(0)) {
        if (this._pages.has(id)) this._subscribe(this._page(id), command);
      }
      for (const page of Array.from(this._pages.values())) {
        if (!this._isSettling(page)) for (const ping of page.pings.splice(0)) this._obey(page, ping);
      }
    }

    // ---- what the server says ----

    /** @param {string} text */
    _hear(text) {
      const frame = JSON.parse(text);
      const question = this._asked.get(frame.id);
      if (frame.type === undefined) this._publish(frame, text);
      else if (question) this._conclude(question, frame);
      else if (frame.type === 'presence') this._meet(frame, text);
      else if (frame.type === 'unsubscribed') this._end(frame, text);
      else if (frame.type === 'expiring') this._port.deliver(this._ending(frame.expiresAt).map(({ id }) => id), text);
      else this._tell(() => true, text);
    }

    /** @param {any} frame @param {string} text */
    _publish(frame, text) {
      const { channel, epoch, offset } = frame;
      const subs = Array.from(this._subs.values()).filter(({ name }) => takes(name, channel, this._hello.user));
      const replaying = subs.find(({ isBusy }) => isBusy);
      this._replay.add(frame, text, replaying ? replaying.name : '');
      for (const sub of subs) sub.last = { channel, epoch, offset };
      this._tell(({ names }) => subs.some(({ name }) => {
        const after = names.get(name);
        return names.has(name) && !(after && after.epoch === epoch && offset <= after.offset);
      }), text);
    }

    /** @param {RtmMuxQuestion} question @param {any} frame */
    _conclude({ id, type, command, sub }, frame) {
      this._asked.delete(frame.id);
      const page = this._pages.get(id);
      if (type === 'connect' || type === 'refresh') this._admit(id, command, frame);
      else if (!sub && page) this._answer(page, command, frame);
      else if (!sub || !page || this._subs.get(sub.name) !== sub || sub.asker !== id) return; // it was left meanwhile
      else if (type === 'settle') this._settle(sub);
      else this._begin(sub, page, command, frame);
    }

    /** @param {string} id @param {any} command @param {any} frame */
    _admit(id, command, frame) {
      const page = this._pages.get(id);
      if (frame.type === 'error') {
        this._blamed = id; // the close follows
        this._told = '';
        if (page) this._answer(page, command, frame);
        return;
      }
      this._blamed = '';
      this._endsAt = frame.expiresAt;
      if (frame.type === 'connected') this._hello = frame;
      this._hello.expiresAt = frame.expiresAt;
      if (page) this._welcome(page, command);
      if (this._isReady) return;
      this._isReady = true;
      for (const [other, early] of this._early.splice(0)) this._obey(this._page(other), early);
    }

    /** @param {RtmMuxSubscription} sub @param {RtmMuxPage} page @param {any} command @param {any} frame */
    _begin(sub, page, command, frame) {
      if (frame.code === 'limit_exceeded' && this._pages.size > 1) return this._expel(page); // alone it may have room
      this._answer(page, command, frame);
      if (frame.type === 'error') {
        this._subs.delete(sub.name);
        return this._settle(sub);
      }
      const { epoch, offset, recovered, presence } = frame;
      sub.begin = { epoch, offset };
      sub.since = recovered ? command.since : undefined;
      sub.from = this._replay.count;
      sub.members.add(page.id);
      page.names.set(sub.name, sub.isPrefix ? null : sub.begin);
      if (presence) page.presence.add(sub.name);
      sub.presence = presence;
      if (!command.since) this._settle(sub);
    }

    /** Keeps who is here for whoever comes later. @param {any} frame @param {string} text */
    _meet(frame, text) {
      const sub = this._subs.get(frame.channel);
      if (!sub || !sub.presence) return;
      sub.presence = parts.meet(sub.presence, frame);
      this._tell(({ presence }) => presence.has(frame.channel), text);
    }

    /** @param {any} frame @param {string} text */
    _end({ channel }, text) {
      const sub = this._subs.get(channel);
      if (!sub) return;
      const to = Array.from(sub.members);
      this._subs.delete(channel);
      for (const id of to) this._page(id).names.delete(channel);
      this._port.deliver(to, text);
      this._settle(sub);
    }

    /** Delivers to those who pass a test. @param {(page: RtmMuxPage) => boolean} isMeant @param {string} text */
    _tell(isMeant, text) {
      const to = Array.from(this._pages.values()).filter(isMeant);
      if (to.length) this._port.deliver(to.map(({ id }) => id), text);
    }

    /** The pages with a token that ends about then. @param {number} time seconds since 1970 */
    _ending(time) {
      const ends = (/** @type {string} */ token) => parts.claimsOf(token).endsAt <= time + TOGETHER_S;
      return Array.from(this._pages.values()).filter(({ tokens }) => tokens.some(ends));
    }
  }

  /** @param {{token?: string, tokens?: string[]}} command @returns {string[]} */
  function tokensOf({ token, tokens }) {
    return tokens || (token ? [token] : []);
  }

  parts.Mux = Mux;
})(typeof self === 'undefined' ? /** @type {any} */ (globalThis) : self);
