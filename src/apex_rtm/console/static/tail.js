/* A channel as it happens. Filters and pause are in the page: the server sends what the channel has. MIT License. */
(function () {
  'use strict';

  const { rtmConsole } = self;
  const { h, fill, count } = rtmConsole;
  const MAX_SHOWN = 200;
  const MAX_WAITING = 1000;

  class Tail {
    constructor() {
      this.stop = null;
      this.reset();
    }

    reset() {
      this.all = []; // newest first, whether they pass the filter or not
      this.waiting = [];
      this.dropped = 0;
      this.isPaused = false;
    }

    open(place, parameters) {
      this.channel = rtmConsole.input('CHANNEL', { required: true, value: parameters.get('channel') || '',
        placeholder: 'orders:*' });
      const filter = rtmConsole.later(() => this.show(), 100);
      this.event = rtmConsole.input('EVENT', { type: 'search', oninput: filter });
      this.text = rtmConsole.input('TEXT', { type: 'search', oninput: filter });
      this.pauseButton = h('button', { type: 'button', disabled: true, onclick: () => this.pause() }, 'Pause');
      this.status = h('p', { class: 'quiet-text', role: 'status' },
        'Name a channel; a final * takes every channel that begins so.');
      this.list = h('ol', { class: 'publications', 'aria-label': 'Messages, the newest first' });
      fill(place, h('h1', { tabindex: '-1' }, 'Live tail'),
        h('form', { class: 'filters', onsubmit: (event) => this.start(event) },
          rtmConsole.field('Channel', this.channel), h('button', { class: 'primary' }, 'Follow'), this.pauseButton,
          h('button', { type: 'button', onclick: () => this.clear() }, 'Clear')),
        h('div', { class: 'filters' }, rtmConsole.field('Event name is', this.event),
          rtmConsole.field('Contains', this.text)),
        this.status, this.list);
      if (this.channel.value) this.start();
    }

    close() {
      if (this.stop) this.stop();
      this.stop = null;
      this.reset();
    }

    start(event) {
      if (event) event.preventDefault();
      this.close();
      this.name = this.channel.value;
      this.pauseButton.disabled = false;
      this.pauseButton.textContent = 'Pause';
      this.say('waiting for the server …');
      this.stop = rtmConsole.socket.watch(this.name, {
        onPublication: (publication) => this.take(publication),
        onLive: (isGap) => this.say(isGap ? 'live again; messages in between may be missing here' : 'live'),
        onError: (message) => this.say(message),
      });
      this.show();
    }

    take(publication) {
      if (!this.isPaused) {
        this.add([publication]);
        return;
      }
      this.waiting.push(publication);
      if (this.waiting.length > MAX_WAITING) {
        this.waiting.shift();
        this.dropped += 1;
      }
      this.say('paused');
    }

    add(publications) {
      this.all = publications.slice().reverse().concat(this.all).slice(0, MAX_SHOWN);
      self.cancelAnimationFrame(this.frame);
      this.frame = self.requestAnimationFrame(() => this.show());
    }

    pause() {
      this.isPaused = !this.isPaused;
      this.pauseButton.textContent = this.isPaused ? 'Go on' : 'Pause';
      this.pauseButton.setAttribute('aria-pressed', String(this.isPaused));
      if (!this.isPaused) {
        this.add(this.waiting);
        this.waiting = [];
        this.dropped = 0;
      }
      this.say(this.isPaused ? 'paused' : 'live');
    }

    clear() {
      this.all = [];
      this.show();
    }

    fits({ eventName, payload, channel, id }) {
      const wanted = this.event.value;
      if (wanted && eventName !== wanted) return false;
      const text = this.text.value.toLowerCase();
      return !text || JSON.stringify([channel, eventName, payload, id]).toLowerCase().includes(text);
    }

    show() {
      const fitting = this.all.filter((one) => this.fits(one));
      this.hidden = this.all.length - fitting.length;
      fill(this.list, fitting.map((one) => rtmConsole.publication(one)));
      this.say(this.state);
    }

    say(state) {
      this.state = state;
      const words = [state];
      if (this.waiting.length) words.push(`${count(this.waiting.length)} came since`);
      if (this.dropped) words.push(`${count(this.dropped)} older ones dropped`);
      if (this.hidden) words.push(`${count(this.hidden)} do not fit the filter`);
      if (this.status) this.status.textContent = words.filter(Boolean).join(' · ');
    }
  }

  rtmConsole.pages.tail = new Tail();
})();
