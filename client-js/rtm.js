/*
 * rtm.js: the connection between a page and the apex-rtm server. One global, `rtm`; no dependency. MIT License.
 * Load subscriptions.js and tokens.js before it; with replay.js, mux.js and tabs.js too, tabs share a socket.
 * api.d.ts says what it offers to a page, docs/protocol.md what it says to the server.
 */
(function (/** @type {Window & typeof globalThis} */ root) {
  'use strict';

  const rtm = (root.rtm = root.rtm || /** @type {any} */ ({}));
  if (Object.keys(rtm).includes('connect')) return; // two plug-ins bring this file twice: one connection is enough

  const BACKOFF_MIN_MS = 500;
  const BACKOFF_MAX_MS = 20000;
  const TOKEN_BACKOFF_MAX_MS = 300000; // a failed getToken is a call to the database: forgotten tabs must not add up
  const LATER_ATTEMPT = 4; // 4005 and 4006 say "later": the backoff starts at a bound of 8 s
  const ATTEMPT_TIMEOUT_MS = 15000; // a captive portal accepts the connection and then says nothing
  const STABLE_MS = 10000; // a server that accepts and closes at once must not be called in a tight loop
  const PING_INTERVAL_MS = 25000; // until the server names its own
  const PONG_TIMEOUT_MS = 10000;
  const PROBE_TIMEOUT_MS = 5000;
  const TICK_MS = 5000;
  const SLEPT_MS = 10000; // less than that is a busy page
  const DRAIN_MS = 5000; // until the server names its own
  const SAVE_DELAY_MS = 1000;

  /** @type {Set<Connection>} */
  const pool = new Set();
  /** @type {Set<(frame: RtmFrame) => void>} */
  const tracers = new Set();

  /** @implements {RtmConnection} */
  class Connection {
    /** @param {string} url @param {RtmOptions} options @param {RtmTabs | undefined} tabs */
    constructor(url, options, tabs) {
      const { owner, grants } = rtm._parts.claimsOf(options.token);
      const scope = options.scope || (root.location || {}).pathname;
      this.url = url;
      this.owner = owner;
      this.state = /** @type {RtmState} */ ('disconnected');
      this.user = /** @type {string | null} */ (null);
      this.grants = /** @type {readonly string[]} */ ([]);
      this._wallet = new rtm._parts.Wallet(options);
      this._tabs = tabs;
      this._isAlone = false; // sent away by the socket that tabs share
      this._stateListeners = /** @type {Set<(change: RtmStateChange) => void>} */ (new Set());
      this._timers = /** @type {Map<string, number>} */ (new Map());
      this._socket = /** @type {RtmSocket | null} */ (null);
      this._life = 0; // counts sockets: a callback that remembers an older number comes from a dead one
      this._attempt = 0;
      this._lastId = 0;
      this._silence = 0;
      this._pingIntervalMs = PING_INTERVAL_MS;
      this._drainMs = DRAIN_MS;
      this._isSuspended = false;
      this._subscriptions = new rtm._parts.Subscriptions('rtm:' + JSON.stringify([url, owner, grants, scope]), {
        say: (command) => this._say(command),
        retry: () => this._timer('flush', this._backoffMs(), () => this._subscriptions.flush()),
      });
      this._open();
    }

    /** @param {string | null | undefined} channel @param {RtmCallbacks} callbacks */
    subscribe(channel, callbacks) {
      const subscription = this._subscriptions.add(channel || '', callbacks);
      // All that one task of the page wants is sent together, so that its order there does not matter here.
      Promise.resolve().then(() => this.state === 'connected' && this._subscriptions.flush());
      return subscription;
    }

    /** @param {(change: RtmStateChange) => void} listener */
    onState(listener) {
      this._stateListeners.add(listener);
      return () => void this._stateListeners.delete(listener);
    }

    close() {
      this._stop(1000, 'closed by the page');
    }

    /** @param {RtmState} state @param {number} code @param {string} reason @param {number | null} retryInMs */
    _setState(state, code, reason, retryInMs) {
      const previous = this.state;
      this.state = state;
      if (previous !== state) rtm._parts.tell(this._stateListeners, { state, previous, code, reason, retryInMs });
    }

    get role() {
      return (this._socket && this._socket.role) || 'alone';
    }

    /** The latest messages, oldest first. */
    get recent() {
      return this._subscriptions.recent;
    }

    get feeds() {
      return this._subscriptions.feeds;
    }

    /** @param {RtmPublication} publication */
    replay(publication) {
      this._subscriptions.replay(publication);
    }

    /**
     * Serves one listener more. False when its token finds no room.
     * @param {RtmOptions} options
     */
    _adopt(options) {
      const isNew = this._wallet.add(options);
      if (isNew && this.state === 'connected') this._say({ type: 'refresh', ...this._wallet.credentials });
      return isNew !== null;
    }

    // ---- open, lose, come back ----

    _open() {
      if (this.state === 'closed' || this._isSuspended) return;
      const life = this._drop();
      this._timer('attempt', ATTEMPT_TIMEOUT_MS, () => this._lost(0, 'no answer'));
      this._setState('connecting', 0, '', null);
      if (life !== this._life) return; // a listener has closed the connection
      if (!this._wallet.isShort) return this._dial(life);
      this._wallet.renew().then(
        () => life === this._life && this._dial(life),
        (error) => life === this._life && this._lost(0, 'no token: ' + error),
      );
    }

    /** @param {number} life */
    _dial(life) {
      /** @type {RtmSocket} */
      let socket;
      const tabs = this._isAlone ? undefined : this._tabs;
      try {
        socket = tabs ? tabs.socket() : /** @type {any} */ (new root.WebSocket(this.url, 'rtm.v1'));
      } catch (error) {
        return this._stop(0, String(error)); // ws: from an https: page, a forbidden port: the next attempt fails too
      }
      this._socket = socket;
      socket.onopen = () => life === this._life && this._say({ type: 'connect', ...this._wallet.credentials });
      socket.onmessage = ({ data }) => life === this._life && this._receive(String(data));
      socket.onclose = ({ code, reason }) => life === this._life && this._lost(code, reason);
    }

    /** Lets go of the socket: nothing that it still says will be heard. Returns the number of the new life. */
    _drop() {
      for (const handle of this._timers.values()) root.clearTimeout(handle);
      this._timers.clear();
      this._subscriptions.reset();
      if (this._socket) this._socket.close(1000);
      this._socket = null;
      return (this._life += 1);
    }

    /**
     * The connection is gone: come back or stop. Codes are judged by their range (docs/protocol.md, section 10).
     * @param {number} code @param {string} reason
     */
    _lost(code, reason) {
      if (code >= 4500 && code < 5000) return this._stop(code, reason);
      this._isAlone = !code && reason === 'alone';
      if (!code && (reason === 'moved' || reason === 'alone')) return this._open(); // no outage: others go on
      if (code === 4001 && !this._wallet.end()) return this._stop(code, reason);
      this._drop();
      if (code === 4005 || code === 4006) this._attempt = Math.max(this._attempt, LATER_ATTEMPT);
      const delayMs = code === 1012 ? Math.random() * this._drainMs : this._backoffMs();
      if (!this._isSuspended) this._timer('retry', delayMs, () => this._open());
      this._setState('disconnected', code, reason, this._isSuspended ? null : delayMs);
    }

    /** @param {number} code @param {string} reason */
    _stop(code, reason) {
      if (this.state === 'closed') return;
      this._drop();
      pool.delete(this);
      this._setState('closed', code, reason, null);
    }

    /** Full jitter: anything up to a bound that doubles, or the pages return as the herd that they left as. */
    _backoffMs() {
      const bound = BACKOFF_MIN_MS * Math.pow(2, Math.min(this._attempt, 20));
      this._attempt += 1;
      return Math.random() * Math.min(bound, this._wallet.isShort ? TOKEN_BACKOFF_MAX_MS : BACKOFF_MAX_MS);
    }

    // ---- stay alive ----

    /**
     * Browsers hide the server's WebSocket pings from us: after more than two silent intervals we ask ourselves.
     * @param {number} delayMs
     */
    _watch(delayMs) {
      this._timer('watch', delayMs, () => {
        this._silence += 1; // back to 0 with every frame
        if (this._silence > 3) this._lost(0, 'server is silent');
        else if (this._silence === 3) this._probe(PONG_TIMEOUT_MS);
        else this._watch(this._pingIntervalMs);
      });
    }

    /** @param {number} timeoutMs */
    _probe(timeoutMs) {
      this._silence = 3;
      this._say({ type: 'ping' });
      this._watch(timeoutMs);
    }

    /**
     * Timers stand still while a laptop sleeps, and a socket may die without a word: a look at the clock tells.
     * @param {number} lookedAt
     */
    _tick(lookedAt) {
      this._timer('tick', TICK_MS, () => {
        if (Date.now() - lookedAt > TICK_MS + SLEPT_MS) this._probe(PROBE_TIMEOUT_MS);
        this._tick(Date.now());
      });
    }

    /** The page woke up or the network changed: waiting has no point, and what looks alive may be dead. */
    _nudge() {
      if (this.state === 'disconnected') this._open();
      else if (this.state === 'connected') this._probe(PROBE_TIMEOUT_MS);
    }

    /**
     * A page in the back/forward cache may not hold a socket, one that is unloaded needs none, and one that is frozen
     * would let it overflow.
     * @param {boolean} isAway
     */
    _suspend(isAway) {
      if (this._isSuspended === isAway || this.state === 'closed') return;
      this._isSuspended = isAway;
      if (isAway) return this._lost(0, 'pagehide');
      this._subscriptions.stay();
      this._open();
    }

    /**
     * Fetches new tokens for those that end by `time`, in seconds since 1970, and for those that were not to be had
     * before. If that fails, 4001 follows and asks again.
     * @param {number} [time]
     */
    _renew(time) {
      const life = this._life;
      const refresh = (/** @type {boolean} */ isAny) => {
        if (life !== this._life) return;
        if (isAny) this._say({ type: 'refresh', ...this._wallet.credentials });
        if (this._wallet.isShort) this._timer('renew', this._backoffMs(), () => this._renew());
      };
      this._wallet.renew(time).then(refresh, () => undefined);
    }

    /** @param {string} name one timer of each name runs @param {number} delayMs @param {() => void} action */
    _timer(name, delayMs, action) {
      root.clearTimeout(this._timers.get(name));
      const run = () => this._timers.delete(name) && action();
      this._timers.set(name, root.setTimeout(run, delayMs));
    }

    // ---- talk ----

    /** @param {Record<string, unknown>} command */
    _say(command) {
      const id = (this._lastId += 1);
      if (!this._socket || this._socket.readyState !== 1) return id;
      this._socket.send(JSON.stringify({ ...command, id }));
      this._trace('out', JSON.stringify({ ...command, id, ...hidden(command) }));
      return id;
    }

    /** @param {'in' | 'out'} direction @param {string} text */
    _trace(direction, text) {
      rtm._parts.tell(tracers, { url: this.url, direction, text });
    }

    /** @param {string} text */
    _receive(text) {
      this._silence = 0;
      this._trace('in', text);
      const frame = JSON.parse(text);
      if (frame.type === 'connected') this._begin(frame);
      else if (frame.type === 'refreshed') this._grant(frame.channels);
      else if (frame.type === 'expiring') this._renew(frame.expiresAt);
      else if (frame.type === 'draining') this._drainMs = frame.reconnectWithinMs;
      else this._subscriptions.hear(frame); // which passes over what a newer server may say
      if (!this._timers.has('save')) this._timer('save', SAVE_DELAY_MS, () => this._subscriptions.save());
    }

    /** @param {{user: string | null, channels: string[], pingIntervalS: number}} frame */
    _begin({ user, channels, pingIntervalS }) {
      this.user = user;
      this._pingIntervalMs = pingIntervalS * 1000;
      this._drainMs = DRAIN_MS;
      this._timer('attempt', STABLE_MS, () => void (this._attempt = 0));
      this._watch(this._pingIntervalMs);
      this._tick(Date.now());
      if (this._wallet.isShort) this._renew();
      this.grants = channels; // a listener of the state may read it
      this._setState('connected', 0, '', null);
      this._grant(channels);
    }

    /** @param {string[]} channels */
    _grant(channels) {
      this.grants = channels;
      this._subscriptions.grant(this.user, channels);
      this._subscriptions.flush();
    }
  }

  /** Nobody who looks over a shoulder at the frames gets a token. @param {Record<string, any>} command */
  function hidden({ token, tokens }) {
    return { token: token && '…', tokens: tokens && tokens.map(() => '…') };
  }

  rtm.connect = (options) => {
    const url = new URL(options.url, root.location && root.location.href);
    url.protocol = url.protocol.replace(/^http/, 'ws');
    url.hash = '';
    if (!/^wss?:$/.test(url.protocol)) throw new TypeError('not an address of a server: ' + options.url);
    const { claimsOf, tabsFor } = rtm._parts;
    const { owner, session } = claimsOf(options.token);
    // Without a session nobody can tell whose page the other one is.
    const mayShare = tabsFor && rtm.share !== false && options.share !== false && (options.session || session);
    const tabs = mayShare ? tabsFor(JSON.stringify([url.href, owner, options.session]), url.href) : undefined;
    const sameOwner = Array.from(pool).filter((one) => one.url === url.href && one.owner === owner);
    const mates = sameOwner.filter((one) => one._tabs === tabs);
    const connection = mates.find((one) => one._adopt(options)) || new Connection(url.href, options, tabs);
    if (connection.state !== 'closed') pool.add(connection);
    return connection;
  };

  Object.defineProperty(rtm, 'connections', { get: () => Array.from(pool) });

  rtm.trace = (listener) => {
    tracers.add(listener);
    return () => void tracers.delete(listener);
  };

  /** @param {EventTarget | undefined} target @param {string} name @param {(connection: Connection) => void} action */
  function on(target, name, action) {
    if (target && target.addEventListener) target.addEventListener(name, () => pool.forEach(action));
  }
  const { document } = root; // neither it nor the events of a window exist in a worker or under Node
  on(root, 'online', (connection) => connection._nudge());
  on(root, 'offline', (connection) => connection.state === 'connected' && connection._nudge());
  on(root, 'beforeunload', (connection) => connection._subscriptions.leave());
  on(root, 'pagehide', (connection) => connection._suspend(true));
  on(root, 'pageshow', (connection) => connection._suspend(false));
  on(document, 'freeze', (connection) => connection._suspend(true));
  on(document, 'resume', (connection) => connection._suspend(false));
  on(document, 'visibilitychange', (connection) => {
    if (document.visibilityState === 'visible') connection._nudge();
    else connection._subscriptions.save(); // the last event that a mobile browser is sure to send
  });
})(typeof self === 'undefined' ? /** @type {any} */ (globalThis) : self);
