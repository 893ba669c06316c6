/*
 * listener.js: the Listener dynamic action in the browser. Needs subscriptions.js, rtm.js and actions.js. MIT License.
 * A dynamic action calls rtm.listener with itself as `this`, or as first argument with its settings as the second.
 *
 * What happens on `document`, for other dynamic actions with Selection Type "JavaScript Expression":
 *   rtm-message (or the name that is set)   this.data = the publication
 *   rtm-gap            messages may be missing, read the data anew   this.data = {channel, since, position}
 *   rtm-presence       who is here, where that was asked for         this.data = {channel, users, names, joined, left}
 *   rtm-error          a channel was refused or taken away           this.data = {channel, code, message}
 *   rtm-connected, rtm-disconnected                                  this.data = {url, code, reason, isFinal}
 */
(function (/** @type {Window & typeof globalThis} */ root) {
  'use strict';

  const rtm = (root.rtm = root.rtm || /** @type {any} */ ({}));
  if (Object.keys(rtm).includes('listener')) return; // a second run would forget what is listened to already

  const DEFAULT_EVENT = 'rtm-message';

  /** @type {Map<string, RtmConnection>} by what a dynamic action listens to */
  const listening = new Map();
  /** @type {WeakSet<RtmConnection>} those whose states are told; many listeners share one */
  const told = new WeakSet();
  /** @type {WeakSet<object>} gaps and refusals reach every listener of a channel, the page hears of each once */
  const announced = new WeakSet();

  /** @param {string} eventName @param {object} data */
  function trigger(eventName, data) {
    root.apex.event.trigger(root.document, eventName, data);
  }

  /** @param {string} eventName @param {object} news */
  function announce(eventName, news) {
    if (announced.has(news)) return;
    announced.add(news);
    trigger(eventName, news);
  }

  /**
   * The settings as attributes of the action, in the order in which the plug-in gives them.
   * @param {ApexActionContext} context @returns {RtmListenerConfig}
   */
  function settingsOf({ action }) {
    return {
      url: action.attribute01 || '/',
      channel: action.attribute02 || '',
      eventName: action.attribute03 || '',
      apexEvent: action.attribute04 || '',
      token: action.attribute05 || undefined,
    };
  }

  /**
   * A page without a token runs in open mode and is never asked for one. With one, the plug-in mints the next: its
   * failure is no message to the user, who did nothing; the connection tells what comes of it.
   * @param {string | undefined} ajaxIdentifier @returns {() => Promise<string>}
   */
  function tokenFrom(ajaxIdentifier) {
    return () =>
      new Promise((resolve, reject) => {
        root.apex.server.plugin(
          ajaxIdentifier || '',
          { x01: 'token' },
          {
            success: (answer) => resolve(answer && answer.token),
            error: (_jqXHR, textStatus, errorThrown) => reject(new Error(errorThrown || textStatus)),
          },
        );
      });
  }

  /** @param {RtmConnection} connection */
  function tellStates(connection) {
    if (told.has(connection)) return;
    told.add(connection);
    let wasTold = '';
    connection.onState(({ state, code, reason }) => {
      if (state === 'connecting' || reason === 'pagehide') return;
      const eventName = state === 'connected' ? 'rtm-connected' : 'rtm-disconnected';
      const isFinal = state === 'closed';
      root.apex.debug.info('rtm:', connection.url, state, code, reason);
      if (eventName === wasTold && !isFinal) return; // one event for an outage, not one for each attempt
      wasTold = eventName;
      trigger(eventName, { url: connection.url, code, reason, isFinal });
    });
  }

  /** @param {RtmListenerConfig} settings @returns {RtmCallbacks} */
  function callbacksFor(settings) {
    const { eventName, apexEvent } = settings;
    return {
      onPublication(publication) {
        if (eventName && eventName !== publication.eventName) return;
        try {
          rtm._act(publication, settings);
        } catch (error) {
          // The event is fired all the same.
          root.apex.debug.error('rtm: the item was not set or the page not refreshed', error);
        }
        trigger(apexEvent || DEFAULT_EVENT, publication);
      },
      onGap: (gap) => announce('rtm-gap', gap),
      onPresence: settings.presence ? (presence) => announce('rtm-presence', presence) : undefined,
      onError(refusal) {
        root.apex.debug.error('rtm:', refusal.channel, 'refused:', refusal.code, refusal.message);
        announce('rtm-error', refusal);
      },
    };
  }

  rtm.listener = function (context, config) {
    const action = context || /** @type {ApexActionContext} */ (this);
    const settings = config || settingsOf(action);
    const { url, channel, eventName, token } = settings;
    const ajaxIdentifier = settings.ajaxIdentifier || action.action.ajaxIdentifier;
    // A dynamic action fires once for every element that it selects, and again after each partial refresh.
    const key = JSON.stringify([url, channel, eventName, settings.id || ajaxIdentifier || action.action.name]);
    const running = listening.get(key);
    if (running && running.state !== 'closed') return;
    const { APP_ID, APP_PAGE_ID, APP_SESSION, APP_USER } = root.apex.env;
    try {
      const connection = rtm.connect({
        url,
        token,
        getToken: token && ajaxIdentifier ? tokenFrom(ajaxIdentifier) : undefined,
        scope: [APP_ID, APP_PAGE_ID, APP_SESSION].join(':'),
        session: [APP_USER, APP_SESSION].join(':'),
        share: settings.share,
      });
      tellStates(connection);
      connection.subscribe(channel, callbacksFor(settings));
      listening.set(key, connection);
    } catch (error) {
      root.apex.debug.error('rtm: cannot listen to', url, error); // the page goes on without
    }
  };
})(typeof self === 'undefined' ? /** @type {any} */ (globalThis) : self);
