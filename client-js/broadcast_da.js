/*
 * broadcast_da.js: the Broadcast dynamic action in the browser. Needs nothing but APEX. MIT License.
 * A dynamic action calls rtm.broadcast with itself as `this`, or as first argument with its settings as the second.
 *
 * Only the item's value travels. Channel, event name and server are attributes that the plug-in reads in the database:
 * what a browser could name, a user could change.
 */
(function (/** @type {Window & typeof globalThis} */ root) {
  'use strict';

  const rtm = (root.rtm = root.rtm || /** @type {any} */ ({}));

  const MAX_X01_CHARACTERS = 8000; // x01 is a VARCHAR2 of 32,767 bytes, a character takes up to four; more goes as CLOB

  /**
   * The settings as attributes of the action, in the order in which the plug-in gives them.
   * @param {ApexActionContext} context @returns {RtmBroadcastConfig}
   */
  function settingsOf({ action }) {
    return {
      itemName: action.attribute01 || '',
      onError: /** @type {RtmBroadcastConfig['onError']} */ ((action.attribute02 || 'log').toLowerCase()),
      pageItems: action.attribute03 ? action.attribute03.split(',') : [],
    };
  }

  /**
   * Says what went wrong, in the way that was set: the reason to the console, the text of the developer to the user.
   * @param {RtmBroadcastConfig} settings @param {string} message
   */
  function report({ onError, errorText }, message) {
    const { apex } = root;
    if (onError === 'ignore') return apex.debug.info('rtm: broadcast failed, ignored:', message);
    apex.debug.error('rtm: broadcast failed:', message);
    if (onError === 'log') return;
    apex.message.clearErrors();
    // unsafe: APEX escapes it
    apex.message.showErrors({ type: 'error', location: 'page', message: errorText || message, unsafe: true });
  }

  /** The value as the database knows it: several values are one text with colons. @param {string} itemName */
  function valueOf(itemName) {
    if (!root.apex.item.isItem(itemName)) throw new Error('There is no item ' + itemName + ' on this page');
    const value = root.apex.item(itemName).getValue();
    return Array.isArray(value) ? value.join(':') : String(value === null ? '' : value);
  }

  rtm.broadcast = function (context, config) {
    const { action, resumeCallback } = context || /** @type {ApexActionContext} */ (this);
    const settings = config || settingsOf({ action });
    const { itemName, pageItems, onError } = settings;
    // Without "Wait for Result" there is no callback to resume: the following actions have been run already.
    const resume = (/** @type {boolean} */ hasFailed) => root.apex.da.resume(resumeCallback, hasFailed);
    const fail = (/** @type {string} */ message) => {
      report(settings, message);
      resume(onError === 'stop');
    };
    let value;
    try {
      value = itemName ? valueOf(itemName) : '';
    } catch (error) {
      fail(error instanceof Error ? error.message : String(error));
      return resumeCallback || onError !== 'stop' ? undefined : false; // false: the following actions do not run
    }
    root.apex.server.plugin(
      settings.ajaxIdentifier || action.ajaxIdentifier || '',
      { [value.length > MAX_X01_CHARACTERS ? 'p_clob_01' : 'x01']: value, pageItems: pageItems || [] },
      {
        success: () => resume(false),
        error: (_jqXHR, textStatus, errorThrown) => fail(errorThrown || textStatus),
      },
    );
  };
})(typeof self === 'undefined' ? /** @type {any} */ (globalThis) : self);
