/*
 * tabs.js: which of the pages of one browser holds the socket that they share. Part of rtm.js. MIT License.
 * Pages of one server, user and APEX session share; others never meet. The leader has a Web Lock, which the browser
 * takes from a page that is closed or crashes; a leader that does not answer any more has it stolen. Without Web Locks
 * and BroadcastChannel (both need a secure context) every page has a socket of its own.
 */
(function (/** @type {Window & typeof globalThis} */ root) {
  'use strict';

  const { _parts: parts } = root.rtm;
  if (Object.keys(root.rtm).includes('connect')) return; // two plug-ins on a page both bring this file

  const BEAT_MS = 2500;
  const MISSED_BEATS = 3; // a page may be busy for a while; a switch costs a reconnect, and loses nothing

  /** A name that nobody else has: of a page, of a port, of a time of leading. */
  const unique = () => Math.random().toString(36).slice(2) + Date.now().toString(36);

  /** What a connection takes for its socket. @implements {RtmSocket} */
  class Port {
    /** @param {Tabs} tabs */
    constructor(tabs) {
      this.id = unique();
      this.readyState = 0;
      this.leader = ''; // whom it talks through
      this.onopen = /** @type {(() => void) | null} */ (null);
      this.onmessage = /** @type {((event: {data: string}) => void) | null} */ (null);
      this.onclose = /** @type {((event: {code: number, reason: string}) => void) | null} */ (null);
      this._tabs = tabs;
    }

    get role() {
      return this._tabs.isLeader ? 'leader' : 'follower';
    }

    /** @param {string} text */
    send(text) {
      this._tabs.say(this.id, text);
    }

    close() {
      if (this.readyState < 3) this._tabs.leave(this.id);
      this.readyState = 3;
    }

    /** @param {string} leader */
    open(leader) {
      this.leader = leader;
      this.readyState = 1;
      if (this.onopen) this.onopen();
    }

    /** @param {number} code @param {string} reason */
    end(code, reason) {
      this.readyState = 3;
      if (this.onclose) this.onclose({ code, reason });
    }
  }

  /** The part that this page has in the sharing. @implements {RtmTabs} */
  class Tabs {
    /** @param {string} name @param {string} url */
    constructor(name, url) {
      this._name = name;
      this._url = url;
      this._page = unique();
      this._ports = /** @type {Map<string, Port>} */ (new Map());
      this._channel = /** @type {BroadcastChannel | null} */ (null);
      this._mux = /** @type {RtmMux | null} */ (null);
      this._leader = '';
      this._isHere = false; // others can notice that this page is gone
      this._stay = 0; // counts the times of being here: what an older one has started does nothing any more
      this._missed = 0;
      this._release = /** @type {Set<() => void>} */ (new Set()); // ends the locks of this page
      this._watched = /** @type {Map<string, Set<string>>} */ (new Map()); // ports by the page that they belong to
    }

    get isLeader() {
      return Boolean(this._mux);
    }

    /** @returns {Port} */
    socket() {
      const port = new Port(this);
      this._ports.set(port.id, port);
      if (this._channel) this._greet(port.id);
      else this._come();
      return port;
    }

    // ---- come and go ----

    _come() {
      const stay = (this._stay += 1);
      this._channel = new root.BroadcastChannel(this._name);
      this._channel.onmessage = ({ data }) => this._hear(data);
      this._missed = 0;
      // Held as long as the page is here: whoever leads gets it when it is gone, and lets go of its subscriptions.
      this._lock(this._name + this._page, {}, () => {
        this._isHere = true;
        for (const id of this._ports.keys()) this._greet(id);
        this._stand({});
      }, () => {
        // A sandboxed frame has no locks.
        for (const port of Array.from(this._ports.values())) this._endPort(port, 0, 'alone');
      });
      this._beat(stay);
    }

    _go() {
      this._stay += 1;
      this._stepDown();
      for (const release of this._release) release();
      this._release.clear();
      this._isHere = false;
      if (this._channel) this._channel.close();
      this._channel = null;
      this._leader = '';
    }

    /**
     * Asks for a lock and keeps it until this page goes.
     * @param {string} name @param {LockOptions} options @param {() => void} action @param {() => void} [onLoss]
     */
    _lock(name, options, action, onLoss) {
      const stay = this._stay;
      const isHere = () => this._stay === stay;
      const abort = new root.AbortController();
      this._release.add(() => abort.abort());
      const held = () => new Promise((resolve) => {
        if (!isHere()) return resolve(undefined);
        this._release.add(() => resolve(undefined));
        action();
      });
      const signal = options.steal ? undefined : abort.signal; // the browser takes only one of both
      root.navigator.locks.request(name, { ...options, ...(signal && { signal }) }, held).catch(() => {
        if (isHere() && onLoss) onLoss();
      });
    }

    // ---- lead ----

    /** @param {LockOptions} options */
    _stand(options) {
      this._lock(this._name, options, () => this._lead(), () => {
        this._stepDown(); // the lock was stolen: this page has slept
        this._stand({});
      });
    }

    _lead() {
      const term = unique();
      this._stepDown();
      this._mux = new parts.Mux(this._url, {
        deliver: (to, text) => this._deliver(to, { kind: 'frame', text, term }),
        end: (id, code, reason) => this._deliver([id], { kind: 'end', code, reason, term }),
      });
      this._post({ kind: 'leader', term });
      this._follow(term);
    }

    _stepDown() {
      const mux = this._mux;
      this._mux = null;
      this._watched.clear();
      if (mux) mux.close();
    }

    /** Another page leads, or this one. @param {string} term */
    _follow(term) {
      this._leader = term;
      for (const port of Array.from(this._ports.values())) {
        if (port.readyState === 0) this._greet(port.id);
        else this._endPort(port, 0, 'moved');
      }
    }

    /** When the page that a port belongs to is gone, so is the port. @param {string} id @param {string} page */
    _watch(id, page) {
      const ports = this._watched.get(page);
      if (ports) return void ports.add(id);
      const gone = new Set([id]);
      this._watched.set(page, gone);
      const mux = this._mux;
      const abort = new root.AbortController();
      const stop = () => abort.abort();
      this._release.add(stop);
      const leave = () => {
        this._release.delete(stop);
        this._watched.delete(page);
        if (mux && mux === this._mux) for (const one of gone) mux.leave(one);
      };
      root.navigator.locks.request(this._name + page, { signal: abort.signal }, leave).catch(() => undefined);
    }

    /** A leader that is silent for several beats is asleep. @param {number} stay */
    _beat(stay) {
      root.setTimeout(() => {
        if (stay !== this._stay) return;
        this._missed += 1; // back to 0 with whatever the leader says
        if (!this._mux && this._missed > MISSED_BEATS) {
          this._missed = 0;
          this._stand({ steal: true });
        } else if (!this._mux) {
          this._post({ kind: 'beat' });
        }
        this._beat(stay);
      }, BEAT_MS);
    }

    // ---- talk ----

    /** @param {RtmTabsNews} news */
    _post(news) {
      if (this._channel) this._channel.postMessage(news);
    }

    /** Not before its lock is held: the leader would take the page for gone. @param {string} id */
    _greet(id) {
      if (this._isHere) this._tell({ kind: 'hello', id, page: this._page });
    }

    /** @param {string} id @param {string} text */
    say(id, text) {
      this._tell({ kind: 'say', id, text });
    }

    /** @param {string} id */
    leave(id) {
      this._ports.delete(id);
      this._tell({ kind: 'bye', id });
      if (!this._ports.size) this._go();
    }

    /** To whoever leads. Its own page is answered later too, as by a socket. @param {RtmTabsNews} news */
    _tell(news) {
      const mux = this._mux;
      if (!mux) return this._post(news);
      Promise.resolve().then(() => mux === this._mux && this._serve(mux, news));
    }

    /** @param {string[]} to @param {RtmTabsNews} news */
    _deliver(to, news) {
      const others = to.filter((id) => !this._ports.has(id));
      if (others.length) this._post({ ...news, to: others });
      this._take({ ...news, to });
    }

    /** @param {RtmTabsNews} news */
    _hear(news) {
      if (news.kind === 'leader') {
        this._stepDown();
        this._missed = 0;
        this._follow(news.term || '');
      } else if (news.kind === 'hello' || news.kind === 'say' || news.kind === 'bye' || news.kind === 'beat') {
        if (this._mux) this._serve(this._mux, news);
      } else {
        this._missed = 0;
        this._take(news);
      }
    }

    /** What the leader does for a page. @param {RtmMux} mux @param {RtmTabsNews} news */
    _serve(mux, { kind, id = '', text = '', page }) {
      const term = this._leader;
      if (kind === 'beat') return this._post({ kind: 'alive', term });
      if (kind === 'bye') return mux.leave(id);
      if (kind === 'say') return mux.say(id, text);
      if (page && page !== this._page) this._watch(id, page);
      mux.join(id);
      this._deliver([id], { kind: 'welcome', term });
    }

    /** What the leader has for the ports of this page. @param {RtmTabsNews} news */
    _take({ kind, to = [], text = '', code = 0, reason = '', term = '' }) {
      for (const id of to) {
        const port = this._ports.get(id);
        if (!port) continue;
        if (kind === 'welcome' && port.readyState > 0) continue; // it had greeted twice
        else if (kind === 'welcome') port.open(term);
        else if (term !== port.leader) continue; // from one who has slept, and does not know that another leads
        else if (kind === 'end') this._endPort(port, code, reason);
        else if (port.onmessage) port.onmessage({ data: text });
      }
    }

    /** @param {Port} port @param {number} code @param {string} reason */
    _endPort(port, code, reason) {
      this._ports.delete(port.id);
      port.end(code, reason); // which may ask for another at once
      const stay = this._stay;
      // Not before the others have been told, too.
      Promise.resolve().then(() => stay === this._stay && !this._ports.size && this._go());
    }
  }

  /** @type {Map<string, Tabs>} */
  const all = new Map();

  /**
   * The sharing that a page takes part in; undefined where the browser has not what it takes.
   * @param {string} key server, user and session @param {string} url
   */
  parts.tabsFor = (key, url) => {
    const { BroadcastChannel, navigator, isSecureContext } = root;
    if (!BroadcastChannel || !isSecureContext || !navigator || !navigator.locks) return undefined;
    const tabs = all.get(key) || new Tabs('rtm:' + key, url);
    all.set(key, tabs);
    return tabs;
  };
})(typeof self === 'undefined' ? /** @type {any} */ (globalThis) : self);
