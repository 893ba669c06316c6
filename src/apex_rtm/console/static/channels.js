/* Channels, who is on them, and what was published to them. MIT License. */
(function () {
  'use strict';

  const { rtmConsole } = self;
  const { h, fill, count } = rtmConsole;
  const REFRESH_MS = 3000;

  const pathOf = (channel, what) => `channels/${encodeURIComponent(channel)}/${what}`;
  const link = (page, parameters, text, name) =>
    h('a', { href: `#/${page}${rtmConsole.query(parameters)}`, 'aria-label': name || null }, text);

  /** A short payload stands in one line, a long one waits to be asked for. */
  function payloadOf(payload) {
    const line = JSON.stringify(payload);
    if (line.length <= 160) return h('pre', { class: 'payload' }, rtmConsole.visible(line));
    return h('details', null, h('summary', null, `Payload, ${rtmConsole.count(line.length)} characters`),
      h('pre', { tabindex: '0' }, rtmConsole.pretty(payload)));
  }

  /** One publication in words: what happened, when it can be told, and what was sent. */
  function publication({ channel, eventName, payload, meta, id, offset }, extra) {
    return h('li', { class: 'publication' },
      h('div', { class: 'line' },
        h('span', { class: 'offset' }, `#${offset}`),
        rtmConsole.name(channel),
        h('span', { class: 'event' }, eventName === null ? 'no event name' : rtmConsole.visible(eventName)),
        extra || null,
        link('delivery', { channel, offset }, 'Who got it?', `Who got number ${offset}?`)),
      payloadOf(payload),
      meta ? h('details', null, h('summary', null, 'Meta'), h('pre', { tabindex: '0' }, rtmConsole.pretty(meta)))
        : null,
      h('div', { class: 'id' }, 'id ', h('code', null, rtmConsole.visible(id))));
  }

  class Channels {
    open(place) {
      this.search = rtmConsole.input('PREFIX', { type: 'search', placeholder: 'all',
        oninput: rtmConsole.later(() => this.load(), 250) });
      this.list = h('div', { 'aria-live': 'off' });
      fill(place, h('h1', { tabindex: '-1' }, 'Channels'),
        h('div', { class: 'filters' }, rtmConsole.field('Name begins with', this.search)), this.list);
      this.timer = self.setInterval(() => this.load(), REFRESH_MS);
      return this.load();
    }

    close() {
      self.clearInterval(this.timer);
    }

    async load() {
      const answer = await rtmConsole.get('channels', { prefix: this.search.value, limit: 200 });
      const columns = [
        { title: 'Channel', cell: ({ channel }) => h('a', { href: `#/channel${rtmConsole.query({ name: channel })}` },
          rtmConsole.name(channel)) },
        { title: 'Subscribers', number: true, cell: ({ subscribers }) => count(subscribers) },
        { title: 'Newest offset', number: true, cell: ({ offset }) => count(offset) },
        { title: 'Kept', number: true, cell: ({ kept }) => count(kept) },
        { title: 'Look', cell: ({ channel }) => h('span', { class: 'links' },
          link('tail', { channel }, 'Live', `Live tail of ${channel}`),
          link('publish', { channel }, 'Publish', `Publish to ${channel}`)) },
      ];
      rtmConsole.renew(this.list, '',
        rtmConsole.table('Channels', columns, answer.channels, 'No channel has subscribers or messages.'), answer.more);
    }
  }

  class Channel {
    open(place, parameters) {
      const channel = (this.channel = parameters.get('name') || '');
      this.presence = h('section', { class: 'card' });
      this.history = h('section', null);
      fill(place,
        h('div', { class: 'head' }, h('h1', { tabindex: '-1' }, rtmConsole.visible(channel)),
          h('div', { class: 'links' }, link('tail', { channel }, 'Live tail'), link('publish', { channel }, 'Publish'),
            link('connections', { channel }, 'Connections'),
            h('button', { type: 'button', onclick: () => this.load() }, 'Reload'))),
        this.presence, this.history);
      return this.load();
    }

    close() {}

    async load() {
      const [presence, history] = await Promise.all([
        rtmConsole.get(pathOf(this.channel, 'presence')),
        rtmConsole.get(pathOf(this.channel, 'history'), { limit: 100 }),
      ]);
      const users = Object.entries(presence.users).sort((a, b) => b[1] - a[1]);
      fill(this.presence, h('h2', null, 'Subscribed by name'),
        h('p', null, `${count(presence.connections)} connections`,
          users.length ? ` of ${count(users.length)} users` : ''),
        h('ul', { class: 'chips' }, users.slice(0, 200).map(([user, connections]) =>
          h('li', null, link('connections', { user }, rtmConsole.name(user)),
            connections > 1 ? ` × ${connections}` : ''))));
      const newestFirst = history.publications.slice().reverse();
      fill(this.history, h('h2', null, 'History'),
        h('p', { class: 'quiet-text' }, `Newest offset ${count(history.offset)}, epoch `,
          h('code', null, history.epoch)),
        newestFirst.length
          ? h('ol', { class: 'publications' }, newestFirst.map((one) => publication(one)))
          : h('p', { class: 'empty' }, 'Nothing is kept for this channel.'));
    }
  }

  rtmConsole.publication = publication;
  rtmConsole.link = link;
  rtmConsole.pages.channels = new Channels();
  rtmConsole.pages.channel = new Channel();
})();
