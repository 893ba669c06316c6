/*
 * panel.js: a panel on the page with state, subscriptions and the last messages of the page's connections. MIT License.
 * Loaded by rtm.debug(). Whatever came over the network is put in as text; styles are set one by one, since a strict
 * Content-Security-Policy refuses style elements and attributes.
 */
(function (/** @type {Window & typeof globalThis} */ root) {
  'use strict';

  const { rtm, document } = root;
  if (rtm.panel) return;

  const MAX_EVENTS = 50;
  const MAX_CHARACTERS = 300; // of a payload in the list
  const REDRAW_MS = 250;

  /** @type {HTMLElement | undefined} */
  let panel;
  /** @type {(() => void)[]} */
  let cleanups = [];

  /**
   * @param {string} tag @param {Partial<CSSStyleDeclaration>} style @param {string} [text]
   * @param {Element[]} [children] @returns {any}
   */
  function make(tag, style, text = '', children = []) {
    const element = document.createElement(tag);
    Object.assign(element.style, style);
    element.textContent = text;
    element.append(...children);
    return element;
  }

  /** @param {string} text @param {string} label @param {() => void} action */
  function button(text, label, action) {
    const element = make('button', { font: 'inherit', cursor: 'pointer', padding: '0 8px', color: '#111' }, text);
    element.type = 'button'; // the page may be one large form
    element.setAttribute('aria-label', label);
    element.addEventListener('click', action);
    return element;
  }

  /** @param {unknown} value */
  function brief(value) {
    const text = typeof value === 'string' ? value : JSON.stringify(value) || '';
    return text.length > MAX_CHARACTERS ? text.slice(0, MAX_CHARACTERS) + '…' : text;
  }

  /** @param {RtmFeed} feed */
  function feedLine({ name, state, position }) {
    const { channel, epoch, offset } = position || {};
    const place = [channel, epoch, offset].filter((part) => part !== undefined).join(' ');
    return [name, state, place || 'nothing yet'].join(' · ');
  }

  /** @param {RtmConnection} connection */
  function connectionPart(connection) {
    const { url, state, role, user, feeds } = connection;
    const head = [state, role, user === null ? 'open mode' : 'user ' + user, url].join(' · ');
    const lines = feeds.map((feed) => make('li', {}, feedLine(feed)));
    return make('div', { marginBottom: '8px' }, '', [
      make('p', { margin: '4px 0', fontWeight: 'bold' }, head),
      make('ul', { margin: '0', paddingLeft: '20px' }, '', lines),
    ]);
  }

  /** @param {RtmConnection} connection @param {RtmRecent} recent */
  function eventRow(connection, { at, publication }) {
    const { channel, eventName, payload, offset } = publication;
    const time = new Date(at).toTimeString().slice(0, 8);
    const again = button('Replay', 'Replay message ' + offset + ' of ' + channel + ' on this page', () =>
      connection.replay(publication));
    const text = [time, channel, eventName, brief(payload)].filter(Boolean).join(' · ');
    return make('li', { margin: '2px 0' }, '', [again, make('span', { marginLeft: '8px' }, text)]);
  }

  /** Rows stay and keep the focus. @param {HTMLElement} list @param {Map<RtmRecent, HTMLElement>} rows */
  function drawEvents(list, rows) {
    const all = rtm.connections.flatMap((connection) => connection.recent.map((recent) => ({ connection, recent })));
    const latest = all.sort((one, other) => one.recent.at - other.recent.at).slice(-MAX_EVENTS);
    for (const [recent, row] of Array.from(rows)) {
      if (latest.some((one) => one.recent === recent)) continue;
      row.remove();
      rows.delete(recent);
    }
    for (const { connection, recent } of latest) {
      if (rows.has(recent)) continue;
      const row = eventRow(connection, recent);
      rows.set(recent, row);
      list.prepend(row);
    }
  }

  function open() {
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    const state = make('div', {});
    const list = make('ol', { listStyle: 'none', margin: '0', padding: '0' });
    const dismiss = button('×', 'Close the panel', () => close());
    const rows = new Map();
    panel = make(
      'aside',
      {
        position: 'fixed', right: '8px', bottom: '8px', width: 'min(640px, calc(100vw - 16px))', maxHeight: '60vh',
        overflow: 'auto', boxSizing: 'border-box', padding: '8px 12px', zIndex: '2147483647', background: '#111',
        color: '#eee', border: '1px solid #777', borderRadius: '6px', font: '12px/1.5 monospace',
        overflowWrap: 'anywhere', textAlign: 'left',
      },
      '',
      [
        make('div', { display: 'flex', justifyContent: 'space-between' }, '', [
          make('strong', {}, 'Real-time messages of this page'), dismiss,
        ]),
        state,
        make('strong', {}, 'Last messages, newest first'),
        list,
      ],
    );
    const box = /** @type {HTMLElement} */ (panel);
    box.setAttribute('role', 'dialog');
    box.setAttribute('aria-label', 'Real-time messages of this page');
    box.tabIndex = -1;
    box.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      event.stopPropagation(); // it closes this, and not the modal dialog that the page is in
      close();
    });
    const draw = () => {
      state.replaceChildren(...rtm.connections.map(connectionPart));
      if (!rtm.connections.length) state.textContent = 'no connection';
      drawEvents(list, rows);
    };
    const timer = root.setInterval(draw, REDRAW_MS); // not with every message: there may be thousands
    cleanups = [() => root.clearInterval(timer), () => before && before.focus && before.focus()];
    draw();
    document.body.append(box);
    dismiss.focus();
  }

  function close() {
    if (panel) panel.remove();
    panel = undefined;
    for (const cleanup of cleanups.splice(0)) cleanup();
  }

  rtm.panel = () => (panel ? close() : open());
})(typeof self === 'undefined' ? /** @type {any} */ (globalThis) : self);
