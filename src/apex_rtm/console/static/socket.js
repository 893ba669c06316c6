/*
 * The console's connection: the project's own WebSocket (docs/protocol.md) with a pass instead of a token. It gets a
 * row of figures every second, and the channels that somebody looks at. MIT License.
 */
(function () {
  'use strict';

  const { rtmConsole, location } = self;
  const BACKOFF_MAX_MS = 15000;
  const LOGIN_AGAIN = 4500; // closes from here on say: do not come back as you are

  class Socket {
    constructor() {
      this.onFigures = () => undefined;
      this.onState = () => undefined;
      this._watches = new Map();
      this._attempt = 0;
      this._isWanted = false;
    }

    open() {
      this._isWanted = true;
      this.onState('connecting');
      rtmConsole.post('pass').then(
        ({ token }) => this._isWanted && this._dial(token),
        (failure) => this._isWanted && failure.code !== 'unauthorized' && this._retry(),
      );
    }

    close() {
      this._isWanted = false;
      self.clearTimeout(this._timer);
      if (this._socket) this._socket.close(1000);
      this._socket = null;
    }

    /** Follows one channel or prefix. `handlers`: onPublication, onLive(isGap), onError. Returns how to stop it. */
    watch(channel, handlers) {
      const watch = { channel, handlers, since: null };
      this._watches.set(channel, watch);
      this._subscribe(watch);
      return () => {
        this._watches.delete(channel);
        this._say({ type: 'unsubscribe', channel });
      };
    }

    _dial(token) {
      const socket = new self.WebSocket(location.origin.replace(/^http/, 'ws') + '/', 'rtm.v1');
      this._socket = socket;
      const isMine = () => socket === this._socket;
      socket.onopen = () => isMine() && this._say({ type: 'connect', token });
      socket.onmessage = ({ data }) => isMine() && this._hear(JSON.parse(data));
      socket.onclose = ({ code }) => {
        if (!isMine()) return;
        this._socket = null;
        if (code >= LOGIN_AGAIN) rtmConsole.signedOut();
        else this._retry();
      };
    }

    _retry() {
      if (!this._isWanted) return;
      this.onState('away');
      const bound = Math.min(BACKOFF_MAX_MS, 500 * Math.pow(2, this._attempt));
      this._attempt += 1;
      this._timer = self.setTimeout(() => this.open(), Math.random() * bound);
    }

    _say(command) {
      if (this._socket && this._socket.readyState === 1) this._socket.send(JSON.stringify(command));
    }

    _subscribe({ channel, since }) {
      this._say(since ? { type: 'subscribe', channel, since } : { type: 'subscribe', channel });
    }

    _hear(frame) {
      if (frame.type === 'figures') this.onFigures(frame.row);
      else if (!frame.type) this._pass(frame);
      else if (frame.type === 'connected') this._begin();
      else if (frame.type === 'expiring') this._renew();
      else if (frame.type === 'subscribed') this._live(frame);
      else if (frame.type === 'error') this._fail(frame);
    }

    _begin() {
      this._attempt = 0;
      this.onState('live');
      this._watches.forEach((watch) => this._subscribe(watch));
    }

    _renew() {
      rtmConsole.post('pass').then(({ token }) => this._say({ type: 'refresh', token }), () => undefined);
    }

    _live({ channel, epoch, offset, recovered }) {
      const watch = this._watches.get(channel);
      if (!watch) return;
      const isGap = Boolean(watch.since) && !recovered;
      if (!recovered) watch.since = { epoch, offset };
      watch.handlers.onLive(isGap);
    }

    _pass(publication) {
      this._watches.forEach((watch) => {
        const { channel } = watch;
        const isPrefix = channel.endsWith('*');
        if (isPrefix ? !publication.channel.startsWith(channel.slice(0, -1)) : publication.channel !== channel) return;
        watch.since = { epoch: publication.epoch, offset: publication.offset };
        if (isPrefix) watch.since.channel = publication.channel;
        watch.handlers.onPublication(publication);
      });
    }

    _fail({ message }) {
      this._watches.forEach((watch) => watch.handlers.onError(message));
    }
  }

  rtmConsole.socket = new Socket();
})();
