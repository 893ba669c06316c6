/*
 * actions.js: what a message does to the page: sets an item, refreshes regions, notifies. Part of listener.js.
 * MIT License.
 */
(function (/** @type {Window & typeof globalThis} */ root) {
  'use strict';

  const rtm = (root.rtm = root.rtm || /** @type {any} */ ({}));
  if (Object.keys(rtm).includes('listener')) return; // two plug-ins on a page both bring this file

  const REFRESH_INTERVAL_MS = 1000;
  const REFRESH_SPREAD_MS = 500;

  /** @type {Map<string, {at: number, isDue: boolean}>} regions with a refresh under way or just behind them */
  const refreshing = new Map();
  /** @type {Set<() => void>} refreshes that wait for the page to be looked at */
  const hidden = new Set();

  /** @param {unknown} value */
  function isPlain(value) {
    return value === null || typeof value !== 'object';
  }

  /**
   * Puts a value into an item. Text stays text, and the change event is held back: a dynamic action on Change that
   * broadcasts would send the same value round for ever.
   * @param {RtmPublication} publication
   * @param {string | undefined} itemName set by the developer; else the message names it
   */
  function setItem({ payload, channel }, itemName) {
    if (payload === null) return; // nothing was sent: what the user has typed stays
    const isObject = typeof payload === 'object';
    const name = itemName || (isObject && payload.itemName);
    const value = isObject ? payload.value : payload;
    if (typeof name !== 'string' || value === undefined || !root.apex.item.isItem(name)) return;
    if (!isPlain(value) && !(Array.isArray(value) && value.every(isPlain))) {
      return root.apex.debug.warn('rtm: the value for', name, 'from channel', channel, 'is no text');
    }
    root.apex.item(name).setValue(value === null ? '' : value, null, true);
  }

  /**
   * Refreshes a region once for any number of messages, and not in the same moment in which every other page does:
   * one message to 500 pages would otherwise be 500 calls to the database at once.
   * @param {string} staticId @param {RtmListenerConfig} settings
   */
  function refresh(staticId, settings) {
    const { refreshIntervalMs = REFRESH_INTERVAL_MS, refreshSpreadMs = REFRESH_SPREAD_MS } = settings;
    const state = refreshing.get(staticId) || { at: -Infinity, isDue: false };
    refreshing.set(staticId, state);
    if (state.isDue) return;
    state.isDue = true;
    // The clock may have been put back.
    const earliest = Math.max(0, Math.min(refreshIntervalMs, state.at + refreshIntervalMs - Date.now()));
    root.setTimeout(() => whenSeen(settings.waitWhileHidden === true, () => {
      state.isDue = false;
      state.at = Date.now();
      if (root.apex.region.isRegion(staticId)) root.apex.region(staticId).refresh();
    }), earliest + Math.random() * refreshSpreadMs);
  }

  /** @param {boolean} mayWait @param {() => void} action */
  function whenSeen(mayWait, action) {
    if (mayWait && root.document.visibilityState === 'hidden') hidden.add(action);
    else action();
  }

  root.document && root.document.addEventListener && root.document.addEventListener('visibilitychange', () => {
    if (root.document.visibilityState === 'hidden') return;
    const waiting = Array.from(hidden);
    hidden.clear();
    rtm._parts.tell(waiting, undefined); // one that fails keeps no other from being refreshed
  });

  /**
   * Fills `#payload.value#` and the like from the publication; what is not there, and what is no text, is left empty.
   * The result is text. Not every APEX release is known to escape what showPageSuccess is given, so that whatever could
   * open a tag is made a mark that looks like it.
   * @param {string} template @param {any} publication
   */
  function fill(template, publication) {
    const text = template.replace(/#([A-Za-z_][\w.]*)#/g, (_match, path) => {
      const value = path.split('.').reduce(
        (/** @type {any} */ at, /** @type {string} */ key) =>
          at !== null && typeof at === 'object' && Object.keys(at).includes(key) ? at[key] : undefined,
        publication,
      );
      return value === undefined || value === null || !isPlain(value) ? '' : String(value);
    });
    return text.replace(/<(?=[a-z/!?])/gi, '\u2039');
  }

  /** @param {RtmPublication} publication @param {RtmListenerConfig} settings */
  function act(publication, settings) {
    const actions = settings.actions || ['item'];
    if (actions.includes('item')) setItem(publication, settings.itemName);
    if (actions.includes('refresh')) for (const staticId of settings.regions || []) refresh(staticId, settings);
    if (!actions.includes('notify')) return;
    const text = fill(settings.template || '#payload.value#', publication);
    if (text) root.apex.message.showPageSuccess(text);
  }

  rtm._act = act;
})(typeof self === 'undefined' ? /** @type {any} */ (globalThis) : self);
