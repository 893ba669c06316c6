/* A message by hand. MIT License. */
(function () {
  'use strict';

  const { rtmConsole } = self;
  const { h, fill } = rtmConsole;

  class Publish {
    open(place, parameters) {
      const channel = parameters.get('channel') || '';
      this.channel = rtmConsole.input('CHANNEL', { required: true, maxlength: 4000, value: channel });
      this.event = rtmConsole.input('EVENT', { maxlength: 130 });
      this.payload = h('textarea', { id: 'PAYLOAD', rows: 8, spellcheck: 'false', 'aria-describedby': 'PAYLOAD_ERROR' },
        '{\n  "value": "Hello"\n}');
      this.error = h('p', { id: 'PAYLOAD_ERROR', class: 'error', role: 'alert' });
      this.answer = h('div', { role: 'status' });
      fill(place, h('h1', { tabindex: '-1' }, 'Publish a test message'),
        h('form', { class: 'card form', onsubmit: (event) => this.send(event) },
          rtmConsole.field('Channel', this.channel), rtmConsole.field('Event name', this.event, 'may be empty'),
          rtmConsole.field('Payload', this.payload, 'JSON'), this.error,
          h('div', { class: 'actions' }, h('button', { class: 'primary' }, 'Publish')), this.answer));
    }

    close() {}

    async send(event) {
      event.preventDefault();
      this.error.textContent = '';
      fill(this.answer);
      let payload;
      try {
        payload = JSON.parse(this.payload.value || 'null');
      } catch (failure) {
        this.error.textContent = `The payload is not JSON: ${failure.message}`;
        this.payload.focus();
        return;
      }
      const channel = this.channel.value;
      const message = { channel, eventName: this.event.value || null, payload, meta: { source: 'console' } };
      try {
        const { offset, epoch } = await rtmConsole.post('publish', message);
        fill(this.answer, h('p', { class: 'ok' }, 'Published at offset ', h('b', null, String(offset)), '. ',
          rtmConsole.link('delivery', { channel, offset, epoch }, 'Who got it?')));
      } catch (failure) {
        this.error.textContent = failure.message;
      }
    }
  }

  rtmConsole.pages.publish = new Publish();
})();
