/*
 * subscriptions.js: what a page wants of one connection, and how far it got. Part of rtm.js. MIT License.
 * Knows no socket and no timer: it is told what the server says and given a way to answer (docs/protocol.md, 4 to 7).
 */
(function (/** @type {Window & typeof globalThis} */ root) {
  'use strict';

  const rtm = (root.rtm = root.rtm || /** @type {any} */ ({}));
  if (Object.keys(rtm).includes('connect')) return; // two plug-ins on a page both bring this file

  const STORED_MAX_AGE_MS = 300000; // a page that was left longer ago has been rendered anew, with newer data
  const LEAVING_MS = 60000; // a page that is still here by then stays: the click was a download, or a mistake
  const MAX_SEEN = 1000; // channels remembered for one wildcard, which may meet millions
  const MAX_RECENT = 50;
  const TEMPORARY = ['rate_limited', 'unavailable', 'internal', 'already_subscribed'];

  /**
   * A prefix shows its user no `user:` channel but their own. In open mode `user` is null and it shows all.
   * @param {string} name @param {string} channel @param {string | null} user
   */
  function takes(name, channel, user) {
    if (!name.endsWith('*') || !channel.startsWith(name.slice(0, -1))) return name === channel;
    return user === null || !channel.startsWith('user:') || channel === 'user:' + user;
  }

  /**
   * Calls the page's own functions. The failure of one is reported and does not keep the news from the others.
   * @template T @param {Iterable<((argument: T) => void) | undefined>} listeners @param {T} argument
   */
  function tell(listeners, argument) {
    for (const listener of Array.from(listeners)) {
      try {
        if (listener) listener(argument);
      } catch (error) {
        root.console.error('rtm: a listener failed', error);
      }
    }
  }

  /** One name asked of the server, shared by all wishes of the page for it. */
  class Feed {
    /** @param {string} name @param {RtmPosition | undefined} position */
    constructor(name, position) {
      this.name = name;
      this.position = position;
      this.isPrefix = name.endsWith('*');
      this.state = /** @type {'idle' | 'sent' | 'catching up' | 'live' | 'refused'} */ ('idle');
      this.question = 0; // id of the subscribe command that is yet to be answered
      this.barrier = 0; // id of the ping whose answer tells that the replay is over
      this.mayResume = true; // false: what was missed came before the page wanted it here
      this.latest = /** @type {RtmPosition | undefined} */ (undefined); // the position, once the replay is over
      this.wishes = /** @type {Set<RtmWish>} */ (new Set());
      this.seen = /** @type {Map<string, RtmPosition>} */ (new Map());
      this.presence = /** @type {RtmPresence | undefined} */ (undefined);
      this.hasNoPresence = false; // the server does not keep it for this channel
    }

    /** Nothing is asked of the server, or nothing that was asked holds any more. */
    rest() {
      this.state = 'idle';
      this.question = 0;
      this.barrier = 0;
      this.presence = undefined;
    }

    wantsPresence() {
      const isWanted = Array.from(this.wishes).some(({ callbacks }) => callbacks.onPresence);
      return isWanted && !this.isPrefix && !this.hasNoPresence;
    }

    /**
     * Notes a publication; false when it was here before. The position moves in the order of the server's journal only:
     * what an overlapping feed brings while this one is replayed to lies ahead of what is still to come, and a cut just
     * then must not skip that.
     * @param {RtmPublication} publication @param {boolean} isShared whether another feed takes it too
     */
    note({ channel, epoch, offset }, isShared) {
      const last = this.seen.get(channel);
      if (last && last.epoch === epoch && offset <= last.offset) return false;
      this.seen.delete(channel); // keeps the Map in the order of use
      this.seen.set(channel, { epoch, offset });
      if (this.seen.size > MAX_SEEN) this.seen.delete(this.seen.keys().next().value || '');
      this.latest = this.isPrefix ? { channel, epoch, offset } : { epoch, offset };
      if (this.state === 'live' || (this.state === 'catching up' && !isShared)) this.position = this.latest;
      return true;
    }

    /** @param {{epoch: string, offset: number}} position @param {boolean} hasRecovered @param {RtmPosition} [since] */
    begin(position, hasRecovered, since = this.position) {
      this.state = hasRecovered && this.isPrefix ? 'catching up' : 'live';
      if (hasRecovered) return; // what was missed follows, and the position moves along with it
      this.position = position;
      this.mayResume = true;
      if (since) this.tell('onGap', { channel: this.name, since, position });
    }

    /** The replay is over: everything up to this moment is here. */
    settle() {
      if (this.state !== 'catching up') return;
      this.state = 'live';
      this.position = this.latest || this.position;
    }

    /**
     * Takes in who is here: first all of them, `users` with the connections of each, then changes. A change without
     * names says that there were too many; from then on only the numbers are known.
     * @param {{connections: number, users: number | Record<string, number>, joined?: string[], left?: string[]}} news
     */
    meet({ connections, users, joined, left }) {
      const known = this.presence && joined ? this.presence.names : null;
      const came = joined || [];
      const gone = left || [];
      let names = known && known.filter((name) => !came.includes(name) && !gone.includes(name)).concat(came);
      if (typeof users === 'object') names = Object.keys(users);
      if (names) names.sort();
      const count = typeof users === 'object' ? Object.keys(users).length : users;
      this.presence = { channel: this.name, connections, users: count, names, joined: came, left: gone };
      this.tell('onPresence', this.presence);
    }

    /** @template {keyof RtmCallbacks} K
     * @param {K} name @param {Parameters<NonNullable<RtmCallbacks[K]>>[0]} news */
    tell(name, news) {
      tell(Array.from(this.wishes, ({ callbacks }) => /** @type {any} */ (callbacks[name])), news);
    }
  }

  /** @implements {RtmSubscriptions} */
  class Subscriptions {
    /** @param {string} storeKey @param {RtmPort} port */
    constructor(storeKey, port) {
      this._storeKey = storeKey;
      this._port = port;
      this._feeds = /** @type {Map<string, Feed>} */ (new Map());
      this._greedy = /** @type {Set<RtmWish>} */ (new Set()); // those that want all that is granted
      this._grants = /** @type {readonly string[]} */ ([]);
      this._user = /** @type {string | null} */ (null);
      this._leavesUntil = 0;
      this.recent = /** @type {RtmRecent[]} */ ([]);
      this._stored = this._load();
    }

    /** @param {string} channel @param {RtmCallbacks} callbacks @returns {RtmSubscription} */
    add(channel, callbacks) {
      const wish = { channel, callbacks, unsubscribe: () => this._remove(wish) };
      if (channel) this._join(channel, wish);
      else this._greedy.add(wish);
      this._spread();
      return wish;
    }

    /** @param {string | null} user @param {readonly string[]} grants */
    grant(user, grants) {
      this._user = user;
      this._grants = grants;
      for (const feed of this._feeds.values()) if (feed.state === 'refused') feed.state = 'idle';
      this._spread();
    }

    /** Asks for what was not asked for yet. Exact names first: only so can every wildcard be replayed (section 6). */
    flush() {
      const idle = Array.from(this._feeds.values()).filter((feed) => feed.state === 'idle');
      idle.sort((a, b) => Number(a.isPrefix) - Number(b.isPrefix));
      for (const feed of idle) {
        const presence = feed.wantsPresence() || undefined;
        const since = feed.mayResume ? feed.position : undefined;
        feed.question = this._port.say({ type: 'subscribe', channel: feed.name, since, presence });
        feed.state = 'sent';
        feed.latest = undefined;
      }
      const replayed = idle.filter((feed) => feed.isPrefix && feed.position);
      // Commands are handled one after the other, each with its replay: the pong comes after the last of them.
      const barrier = replayed.length ? this._port.say({ type: 'ping' }) : 0;
      for (const feed of replayed) feed.barrier = barrier;
    }

    /** The connection is gone, and with it all that was asked. */
    reset() {
      this.save();
      for (const feed of this._feeds.values()) feed.rest();
    }

    /** @param {any} frame a publication, or what the server says of a subscription */
    hear(frame) {
      if (frame.type === undefined) return this._publish(frame);
      const feeds = Array.from(this._feeds.values());
      if (frame.type === 'pong') return feeds.forEach((feed) => feed.barrier === frame.id && feed.settle());
      // Of a channel that was left and wanted again meanwhile, only the last question counts.
      const asked = feeds.find(({ question }) => question === frame.id);
      const named = this._feeds.get(frame.channel);
      if (asked) this._answer(asked, frame);
      else if (named && frame.type === 'presence') named.meet(frame);
      else if (named && frame.type === 'unsubscribed' && frame.code !== 'client') this._refuse(named, frame);
    }

    /**
     * The next page is being fetched, and may be rendered already: what comes to this one from now on is for that one,
     * too. So the positions stay as they are now.
     */
    leave() {
      this.save();
      this._leavesUntil = Date.now() + LEAVING_MS;
    }

    /** The page is shown again: from the back/forward cache it goes on with what it has in memory. */
    stay() {
      this._leavesUntil = 0;
    }

    /** Session storage throws where the page is sandboxed, and when it is full: then a reload begins anew. */
    save() {
      if (Date.now() < this._leavesUntil) return;
      const positions = Array.from(this._stored);
      for (const { name, position } of this._feeds.values()) if (position) positions.push([name, position]);
      try {
        root.sessionStorage.setItem(this._storeKey, JSON.stringify({ at: Date.now(), positions }));
      } catch {
        // as said
      }
    }

    /** @returns {Map<string, RtmPosition>} */
    _load() {
      try {
        const stored = JSON.parse(root.sessionStorage.getItem(this._storeKey) || '{}');
        return new Map(Date.now() - stored.at < STORED_MAX_AGE_MS ? stored.positions : []);
      } catch {
        return new Map();
      }
    }

    /** @param {RtmPublication} publication */
    _publish(publication) {
      const takers = Array.from(this._feeds.values()).filter(
        (feed) => feed.state !== 'refused' && takes(feed.name, publication.channel, this._user),
      );
      for (const feed of takers) {
        if (!feed.note(publication, takers.length > 1)) continue;
        this._remember(publication);
        feed.tell('onPublication', publication);
      }
    }

    /** @param {RtmPublication} publication */
    _remember(publication) {
      const last = this.recent[this.recent.length - 1];
      if (last && last.publication === publication) return;
      this.recent.push({ at: Date.now(), publication });
      if (this.recent.length > MAX_RECENT) this.recent.shift();
    }

    /** Lets a message happen again, here only. @param {RtmPublication} publication */
    replay(publication) {
      for (const feed of Array.from(this._feeds.values())) {
        if (takes(feed.name, publication.channel, this._user)) feed.tell('onPublication', publication);
      }
    }

    /** What is asked of the server, and how far it got. */
    get feeds() {
      return Array.from(this._feeds.values(), ({ name, state, position }) => ({ name, state, position }));
    }

    /** @param {Feed} feed @param {any} frame */
    _answer(feed, frame) {
      feed.question = 0;
      if (frame.type === 'error') return this._refuse(feed, frame);
      // `last` comes from another tab that listens already: how far its wildcard is.
      feed.begin(frame.last || { epoch: frame.epoch, offset: frame.offset }, frame.recovered);
      if (frame.presence) feed.meet(frame.presence);
    }

    /** @param {Feed} feed @param {{code: string, message?: string}} frame */
    _refuse(feed, { code, message = 'the right to this channel has ended' }) {
      feed.state = 'refused';
      if (code === 'forbidden' && feed.wantsPresence()) {
        feed.hasNoPresence = true; // perhaps it was only that: the publications are worth a second question
        feed.state = 'idle';
        return this.flush();
      }
      if (!TEMPORARY.includes(code)) return feed.tell('onError', { channel: feed.name, code, message });
      if (code === 'already_subscribed') this._port.say({ type: 'unsubscribe', channel: feed.name });
      feed.state = 'idle';
      this._port.retry();
    }

    /** @param {string} name @param {RtmWish} wish */
    _join(name, wish) {
      const feed = this._feeds.get(name) || this._newFeed(name);
      const hadPresence = feed.wantsPresence();
      feed.wishes.add(wish);
      if (hadPresence && feed.presence) tell([wish.callbacks.onPresence], feed.presence);
      else if (!hadPresence && feed.wantsPresence()) this._end(feed); // is asked for again, now with presence
    }

    /**
     * Goes on from where the page before the reload was, unless another feed runs already that takes some of the same:
     * what it brought before is not sent again, and whoever comes now has missed it.
     * @param {string} name
     */
    _newFeed(name) {
      const feed = new Feed(name, this._stored.get(name));
      const isOverlapped = (/** @type {Feed} */ { name: other, state }) =>
        state !== 'idle' && (takes(other, name, null) || takes(name, other, null));
      feed.mayResume = !Array.from(this._feeds.values()).some(isOverlapped);
      this._stored.delete(name);
      this._feeds.set(name, feed);
      return feed;
    }

    /** @param {Feed} feed @param {RtmWish} wish */
    _leave(feed, wish) {
      if (!feed.wishes.delete(wish) || feed.wishes.size) return;
      this._feeds.delete(feed.name);
      this._end(feed);
    }

    /** @param {Feed} feed */
    _end(feed) {
      if (!['idle', 'refused'].includes(feed.state)) this._port.say({ type: 'unsubscribe', channel: feed.name });
      feed.rest();
    }

    /** @param {RtmWish} wish */
    _remove(wish) {
      this._greedy.delete(wish);
      for (const feed of Array.from(this._feeds.values())) this._leave(feed, wish);
    }

    /** Whoever wants all gets one feed for each grant that lies in no other, so that nothing comes to them twice. */
    _spread() {
      const isInner = (/** @type {string} */ name) =>
        this._grants.some((grant) => grant !== name && takes(grant, name, this._user));
      const names = this._grants.filter((name) => !isInner(name));
      for (const wish of this._greedy) {
        for (const name of names) this._join(name, wish);
        for (const feed of Array.from(this._feeds.values())) {
          if (!names.includes(feed.name)) this._leave(feed, wish);
        }
      }
    }
  }

  rtm._parts = /** @type {any} */ ({ Subscriptions, takes, tell });
})(typeof self === 'undefined' ? /** @type {any} */ (globalThis) : self);
