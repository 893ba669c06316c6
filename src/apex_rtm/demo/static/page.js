/*
 * Page 10 of the demo: what Page Designer would have made of it. The dynamic actions are those of the Hello example,
 * the rest shows what goes over the wire. MIT License.
 */
(function () {
  'use strict';

  const { apex, rtm, document, location } = self;
  const MAX_FRAMES = 200; // a page that is left open must not grow for ever

  const listener = {
    name: 'RTM Listener – Test',
    bindEventType: 'ready',
    actionList: [
      {
        executeOnPageInit: true,
        action: 'PLUGIN_RTM_LISTENER_DA',
        javascriptFunction: rtm.listener,
        attribute01: location.origin.replace(/^http/, 'ws') + '/', // Base WebSocket URL
        attribute02: 'test', // Channel
        attribute03: 'ping', // Event Name
        attribute04: 'rtm-message', // APEX Event Name
      },
    ],
  };

  const broadcast = {
    name: 'Broadcast Hello',
    bindEventType: 'click',
    triggeringElement: '#SEND_HELLO',
    actionList: [
      {
        action: 'PLUGIN_RTM_BROADCAST_DA',
        javascriptFunction: rtm.broadcast,
        ajaxIdentifier: 'BROADCAST_HELLO', // channel, event name and item name stay on the server
        attribute01: 'P10_MESSAGE', // Payload Item
        attribute02: 'show', // On Error
        waitForResult: true,
      },
    ],
  };

  const received = {
    name: 'Show what was received',
    bindEventType: 'rtm-message',
    triggeringElement: 'document',
    actionList: [
      {
        action: 'NATIVE_JAVASCRIPT_CODE',
        javascriptFunction() {
          const { payload } = this.data;
          apex.message.showPageSuccess('Received: ' + (payload && payload.value));
          flash(document.getElementById('P10_MESSAGE'));
        },
      },
    ],
  };

  function onConnection(eventName, state, text) {
    return {
      name: eventName,
      bindEventType: eventName,
      triggeringElement: 'document',
      actionList: [{ action: 'NATIVE_JAVASCRIPT_CODE', javascriptFunction: () => showState(state, text) }],
    };
  }

  apex.da.gEventList = [
    received,
    onConnection('rtm-connected', 'up', 'connected'),
    onConnection('rtm-disconnected', 'down', 'reconnecting'),
    listener,
    broadcast,
  ];

  function showState(state, text) {
    const place = document.getElementById('STATE');
    place.dataset.state = state;
    place.textContent = text;
  }

  /** Lights the item up for a moment; starting an animation anew needs a reflow in between. */
  function flash(node) {
    node.classList.remove('is-fresh');
    node.getBoundingClientRect();
    node.classList.add('is-fresh');
  }

  function logFrame({ direction, text }) {
    const log = document.getElementById('FRAME_LOG');
    const line = document.createElement('li');
    line.className = direction;
    line.textContent = text;
    log.append(line);
    if (log.children.length > MAX_FRAMES) log.firstElementChild.remove();
    showLastFrame();
  }

  function showLastFrame() {
    const log = document.getElementById('FRAME_LOG');
    log.scrollTop = log.scrollHeight;
  }

  // The item's default, with the name: so the first click already changes the other page.
  apex.item('P10_MESSAGE').setValue('Hello from ' + apex.env.APP_USER, null, true);
  document.getElementById('APP_USER').textContent = apex.env.APP_USER + ' · session ' + apex.env.APP_SESSION;
  rtm.trace(logFrame);
  new self.ResizeObserver(showLastFrame).observe(document.getElementById('FRAME_LOG')); // a notification takes room
  apex.da.init();
})();
