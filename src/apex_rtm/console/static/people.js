/* Who is connected, and taking away what they may do. MIT License. */
(function () {
  'use strict';

  const { rtmConsole } = self;
  const { h, fill, count, bytes } = rtmConsole;
  const REFRESH_MS = 3000;

  /** Asks, revokes, and says what ended. */
  async function revoke(what, title, done) {
    const text = 'Their connections are closed now, and tokens that were made until this moment are refused. ' +
      'A page that gets a new token comes back.';
    if (!(await rtmConsole.ask(title, text, 'Revoke'))) return;
    try {
      const { connections } = await rtmConsole.post('revoke', what);
      rtmConsole.toast(`Revoked: ${count(connections)} connections ended.`);
    } catch (failure) {
      rtmConsole.toast(failure.message, true);
    }
    done();
  }

  function revokeButton(row, done) {
    const { user, sessionId } = row;
    if (user === null) return h('span', { class: 'quiet-text' }, 'no token');
    const what = sessionId === null ? { user } : { user, sessionId };
    const title = sessionId === null ? `Revoke all of ${rtmConsole.visible(user)}?`
      : `Revoke session ${rtmConsole.visible(sessionId)} of ${rtmConsole.visible(user)}?`;
    const name = sessionId === null ? `Revoke ${user}` : `Revoke session ${sessionId} of ${user}`;
    return h('button', { type: 'button', class: 'danger small', 'aria-label': name,
      onclick: () => revoke(what, title, done) }, sessionId === null ? 'Revoke user' : 'Revoke session');
  }

  function channelsOf({ channels }) {
    if (!channels.length) return h('span', { class: 'quiet-text' }, 'none');
    const names = channels.slice(0, 100).map((channel) => h('li', null, channel.endsWith('*') ? rtmConsole.name(channel)
      : rtmConsole.link('channel', { name: channel }, rtmConsole.name(channel))));
    if (channels.length <= 2) return h('ul', { class: 'plain' }, names);
    return h('details', null, h('summary', null, `${count(channels.length)} channels`),
      h('ul', { class: 'plain' }, names));
  }

  class Connections {
    open(place, parameters) {
      const load = rtmConsole.later(() => this.load(), 250);
      this.user = rtmConsole.input('USER', { type: 'search', value: parameters.get('user') || '', oninput: load });
      const channel = parameters.get('channel') || '';
      this.channel = rtmConsole.input('CHANNEL', { type: 'search', value: channel, oninput: load });
      this.list = h('div', null);
      fill(place, h('h1', { tabindex: '-1' }, 'Connections'),
        h('div', { class: 'filters' }, rtmConsole.field('User', this.user, 'exact name'),
          rtmConsole.field('Gets channel', this.channel, 'exact name; wildcards count')), this.list);
      this.timer = self.setInterval(() => this.load(), REFRESH_MS);
      return this.load();
    }

    close() {
      self.clearInterval(this.timer);
    }

    async load() {
      if (this.list.querySelector('details[open]')) return; // somebody reads
      const filter = { user: this.user.value, channel: this.channel.value, limit: 200 };
      const answer = await rtmConsole.get('connections', filter);
      const columns = [
        { title: 'User', cell: ({ user }) => (user === null ? h('span', { class: 'quiet-text' }, 'nobody')
          : rtmConsole.name(user)) },
        { title: 'Session', cell: ({ sessionId }) => (sessionId === null ? '–' : rtmConsole.name(sessionId)) },
        { title: 'Channels', cell: channelsOf },
        { title: 'Address', cell: ({ ip }) => h('code', null, ip) },
        { title: 'Since', cell: ({ connectedAt }) => rtmConsole.ago(connectedAt) },
        { title: 'Waiting', number: true, cell: ({ waitingBytes }) => (waitingBytes ? bytes(waitingBytes) : '–') },
        { title: 'Connection', cell: ({ id }) => h('code', null, id) },
        { title: 'Rights', cell: (row) => revokeButton(row, () => this.load()) },
      ];
      rtmConsole.renew(this.list, `${count(answer.total)} connections in all`,
        rtmConsole.table('Connections', columns, answer.connections, 'No connection fits.'), answer.more);
    }
  }

  class Users {
    open(place) {
      this.search = rtmConsole.input('SEARCH', { type: 'search', placeholder: 'all',
        oninput: rtmConsole.later(() => this.load(), 250) });
      this.list = h('div', null);
      fill(place, h('h1', { tabindex: '-1' }, 'Users'),
        h('div', { class: 'filters' }, rtmConsole.field('Name contains', this.search)), this.list);
      this.timer = self.setInterval(() => this.load(), REFRESH_MS);
      return this.load();
    }

    close() {
      self.clearInterval(this.timer);
    }

    async load() {
      const answer = await rtmConsole.get('users', { search: this.search.value, limit: 200 });
      const columns = [
        { title: 'User', cell: ({ user }) => rtmConsole.name(user) },
        { title: 'Connections', number: true, cell: ({ user, connections }) =>
          rtmConsole.link('connections', { user }, count(connections), `Connections of ${user}`) },
        { title: 'Rights', cell: ({ user }) => revokeButton({ user, sessionId: null }, () => this.load()) },
      ];
      const empty = answer.total ? 'Nobody fits.' : 'Nobody is connected with a token.';
      rtmConsole.renew(this.list, `${count(answer.total)} users in all`,
        rtmConsole.table('Users', columns, answer.users, empty), answer.more);
    }
  }

  rtmConsole.pages.connections = new Connections();
  rtmConsole.pages.users = new Users();
})();
