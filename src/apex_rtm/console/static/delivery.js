/* "Did SCOTT get it?": what is known of each connection for one message, in words that can be stood by. MIT License. */
(function () {
  'use strict';

  const { rtmConsole } = self;
  const { h, fill, count } = rtmConsole;
  const ASK_AGAIN_MS = 400;

  const STATES = {
    arrived: ['Arrived', 'The browser has answered a ping that was sent after the message.'],
    handed: ['Handed over', 'The operating system took it; the next answered ping tells whether it arrived.'],
    waiting: ['Waiting', 'The browser reads slowly: bytes wait in the server, perhaps this message too.'],
    replaying: ['Catching up', 'The connection is being sent what it missed and has not come to this message.'],
    ended: ['Ended', 'It was sent, and nothing proved its arrival before the connection ended. Who returns recovers.'],
    later: ['Came later', 'It subscribed after the message and did not ask for it.'],
  };

  const badge = (state) => h('span', { class: `badge badge-${state}`, title: STATES[state][1] }, STATES[state][0]);

  class Delivery {
    open(place, parameters) {
      const value = (name) => ({ value: parameters.get(name) || '' });
      this.channel = rtmConsole.input('CHANNEL', { required: true, ...value('channel') });
      this.offset = rtmConsole.input('OFFSET', { inputmode: 'numeric', pattern: '[0-9]*', placeholder: 'newest',
        ...value('offset') });
      this.id = rtmConsole.input('ID', value('id'));
      this.user = rtmConsole.input('USER', { placeholder: 'everybody', ...value('user') });
      this.epoch = parameters.get('epoch');
      this.result = h('section', { 'aria-live': 'polite' });
      fill(place, h('h1', { tabindex: '-1' }, 'Who got it?'),
        h('form', { class: 'filters', onsubmit: (event) => this.submit(event) },
          rtmConsole.field('Channel', this.channel), rtmConsole.field('Offset', this.offset),
          rtmConsole.field('or message id', this.id), rtmConsole.field('User', this.user),
          h('button', { class: 'primary' }, 'Look')),
        this.result);
      return this.channel.value ? this.load() : undefined;
    }

    close() {
      self.clearTimeout(this.timer);
    }

    submit(event) {
      event.preventDefault();
      this.epoch = null; // what was typed means the channel as it is now
      this.load();
    }

    wanted() {
      const offset = this.id.value ? '' : this.offset.value;
      return { channel: this.channel.value, offset, id: this.id.value, user: this.user.value, epoch: this.epoch };
    }

    async load() {
      try {
        this.show(await rtmConsole.get('receipt', this.wanted()));
      } catch (failure) {
        fill(this.result, h('p', { class: 'error' }, failure.message));
      }
    }

    /** Pings those of whom nothing is proved, and looks again when the answers have had time to come. */
    async ask(button) {
      button.disabled = true;
      try {
        const { asked } = await rtmConsole.post('ask', {}, this.wanted());
        rtmConsole.toast(`${count(asked)} connections were asked.`);
      } catch (failure) {
        rtmConsole.toast(failure.message, true);
      }
      this.timer = self.setTimeout(() => this.load(), ASK_AGAIN_MS);
    }

    show(answer) {
      if (!answer.found) {
        fill(this.result, h('p', { class: 'empty' }, 'The log of this node does not hold that message (any more), so ' +
          'nothing can be said of it.'));
        return;
      }
      const { message, counts, users, connections } = answer;
      const askButton = h('button', { type: 'button', onclick: () => this.ask(askButton) }, 'Ask them now');
      const open = counts.handed + counts.waiting;
      fill(this.result,
        h('div', { class: 'card' },
          h('h2', null, rtmConsole.visible(message.channel), ` #${message.offset}`),
          h('p', { class: 'quiet-text' },
            `published ${rtmConsole.ago(message.at)} at ${rtmConsole.time(message.at)}, id `,
            h('code', null, rtmConsole.visible(message.id))),
          h('ul', { class: 'counts' }, Object.keys(STATES).filter((state) => counts[state]).map((state) =>
            h('li', null, badge(state), ' ', h('b', null, count(counts[state]))))),
          h('p', null, askButton, h('span', { class: 'hint' }, open ? ' They answer in a moment, or read slowly.'
            : ' There is nothing left to ask.'))),
        users.length ? this.userTable(users) : null,
        this.connectionTable(connections),
        answer.more ? h('p', { class: 'more' }, 'There are more: name a user.') : null,
        this.explanation(answer));
      askButton.disabled = !open;
    }

    userTable(users) {
      return [h('h2', null, 'Users'), rtmConsole.table('Users', [
        { title: 'User', cell: ({ user }) => rtmConsole.name(user) },
        { title: 'Best of their connections', cell: ({ state }) => badge(state) },
        { title: 'Connections', number: true, cell: (row) => count(row.connections) },
      ], users)];
    }

    connectionTable(connections) {
      return [h('h2', null, 'Connections'), rtmConsole.table('Connections', [
        { title: 'User', cell: ({ user }) => (user === null ? '–' : rtmConsole.name(user)) },
        { title: 'State', cell: ({ state }) => badge(state) },
        { title: 'Session', cell: ({ sessionId }) => (sessionId === null ? '–' : rtmConsole.name(sessionId)) },
        { title: 'Connection', cell: ({ connection }) => h('code', null, connection) },
        { title: 'Address', cell: ({ ip }) => h('code', null, ip) },
        { title: 'Ended', cell: ({ endedAt }) => (endedAt === null ? '–' : rtmConsole.ago(endedAt)) },
      ], connections, 'No connection that this node knows had subscribed to it.')];
    }

    explanation({ endedKnownSince }) {
      const known = endedKnownSince === null ? 'Connections that have ended are known since the server started.'
        : `Connections that have ended are known since ${rtmConsole.time(endedKnownSince)}.`;
      return h('details', { class: 'card' }, h('summary', null, 'What the words mean'),
        h('dl', null, Object.keys(STATES).map((state) =>
          [h('dt', null, badge(state)), h('dd', null, STATES[state][1])])),
        h('p', null, known, ' Arrived means in the browser: not that a page used it, nor that a person read it.'));
    }
  }

  rtmConsole.pages.delivery = new Delivery();
})();
