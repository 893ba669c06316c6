/*
 * debug.js: rtm.debug() shows what happens on this page. The panel is a file of its own, loaded when it is asked for.
 * MIT License.
 */
(function (/** @type {Window & typeof globalThis} */ root) {
  'use strict';

  const rtm = (root.rtm = root.rtm || /** @type {any} */ ({}));
  const { document } = root;
  const loader = /** @type {HTMLScriptElement | null} */ (document && document.currentScript);
  if (rtm.debug || !loader) return;

  const url = loader.src.replace(/rtm_listener/, 'rtm_panel').replace(/\bdebug\.js/, 'panel.js');
  const { nonce } = loader; // a policy may allow this page's own scripts by nothing else

  rtm.debug = () => {
    if (rtm.panel) return rtm.panel();
    const script = document.createElement('script');
    Object.assign(script, { src: url, nonce, onload: () => rtm.panel && rtm.panel() });
    document.head.append(script);
  };
})(typeof self === 'undefined' ? /** @type {any} */ (globalThis) : self);
