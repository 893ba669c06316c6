/* Elements, tables, numbers and questions. Whatever comes from outside becomes text, never markup. MIT License. */
(function () {
  'use strict';

  const { document } = self;
  const rtmConsole = (self.rtmConsole = { pages: {} });
  const decimal = new self.Intl.NumberFormat('en', { maximumFractionDigits: 1 });
  const clock = new self.Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
  const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

  /** Makes an element: h('a', { class: 'x', href: '#', onclick }, 'text', child). A child may be null. */
  function h(name, properties, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(properties || {})) {
      if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
      else if (value === true) element.setAttribute(key, '');
      else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
    }
    append(element, children);
    return element;
  }

  function append(element, children) {
    for (const child of children) {
      if (Array.isArray(child)) append(element, child);
      else if (child !== null && child !== undefined) element.append(child);
    }
  }

  function fill(element, ...children) {
    element.replaceChildren();
    append(element, children);
    return element;
  }

  function bytes(count) {
    let value = count;
    let unit = 0;
    while (value >= 1024 && unit < UNITS.length - 1) {
      value /= 1024;
      unit += 1;
    }
    return `${decimal.format(value)} ${UNITS[unit]}`;
  }

  function time(seconds) {
    return clock.format(new Date(seconds * 1000));
  }

  function ago(seconds) {
    const past = Math.max(0, Math.round(Date.now() / 1000 - seconds));
    if (past < 60) return `${past} s ago`;
    if (past < 3600) return `${Math.floor(past / 60)} min ago`;
    if (past < 86400) return `${Math.floor(past / 3600)} h ago`;
    return new Date(seconds * 1000).toLocaleDateString();
  }

  /** Channel, user and other names may hold anything, also nothing that can be seen. */
  function nameOf(text) {
    return h('code', { class: 'name', title: text }, visible(text));
  }

  /** Controls and characters that turn the direction of text would let one name look like another. */
  function visible(text) {
    return String(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
      (one) => `\\u${one.codePointAt(0).toString(16).padStart(4, '0')}`);
  }

  /** A table that is a list of cards on a phone. columns: [{ title, cell(row), number? }]. */
  function table(caption, columns, rows, empty) {
    if (!rows.length) return h('p', { class: 'empty' }, empty || 'Nothing here.');
    const head = h('tr', null, columns.map((column) =>
      h('th', { scope: 'col', class: column.number ? 'number' : null }, column.title)));
    const body = rows.map((row) => h('tr', null, columns.map((column) =>
      h('td', { 'data-label': column.title, class: column.number ? 'number' : null }, column.cell(row)))));
    return h('div', { class: 'scroll' },
      h('table', null, h('caption', { class: 'unseen' }, caption), h('thead', null, head), h('tbody', null, body)));
  }

  /** Shows a list anew; one that is renewed under somebody's fingers must not take the focus away. */
  function renew(list, total, content, isCut) {
    const mark = (one) => one.getAttribute('aria-label') || one.getAttribute('href');
    const focused = list.contains(document.activeElement) ? mark(document.activeElement) : null;
    fill(list, total ? h('p', { class: 'quiet-text' }, total) : null, content,
      isCut ? h('p', { class: 'more' }, 'There are more: narrow the search.') : null);
    const again = focused && Array.from(list.querySelectorAll('a, button')).find((one) => mark(one) === focused);
    if (again) again.focus({ preventScroll: true });
  }

  function field(label, control, hint) {
    return h('div', { class: 'field' }, h('label', { for: control.id }, label), control,
      hint ? h('small', { class: 'hint' }, hint) : null);
  }

  function input(id, properties) {
    return h('input', { id, name: id.toLowerCase(), type: 'text', autocomplete: 'off', spellcheck: 'false',
      ...properties });
  }

  /** Says something for a moment; a screen reader says it too. */
  function toast(text, isError) {
    const place = document.getElementById('TOAST');
    place.textContent = text;
    place.dataset.kind = isError ? 'error' : 'ok';
    place.classList.add('shown');
    self.clearTimeout(toast.timer);
    toast.timer = self.setTimeout(() => place.classList.remove('shown'), 5000);
  }

  /** Asks before something that cannot be taken back; resolves to true or false. */
  function ask(title, text, action) {
    const dialog = document.getElementById('DIALOG');
    document.getElementById('DIALOG_TITLE').textContent = title;
    document.getElementById('DIALOG_TEXT').textContent = text;
    document.getElementById('DIALOG_OK').textContent = action;
    dialog.returnValue = 'cancel';
    dialog.showModal();
    return new Promise((resolve) => {
      dialog.addEventListener('close', () => resolve(dialog.returnValue === 'ok'), { once: true });
    });
  }

  /** Runs `action` once typing has paused. */
  function later(action, delayMs) {
    let timer = 0;
    return () => {
      self.clearTimeout(timer);
      timer = self.setTimeout(action, delayMs);
    };
  }

  function pretty(value) {
    return JSON.stringify(value, null, 2).split('\n').map(visible).join('\n');
  }

  const count = (value) => decimal.format(value);
  Object.assign(rtmConsole, { h, fill, bytes, time, ago, name: nameOf, visible, table, field, input, toast, ask, later,
    pretty, count, renew });
})();
