/*
 * What APEX's own JavaScript does for components that the demo's apex.js does not have: native actions of dynamic
 * actions, classic reports that refresh themselves, page submits. For the tests.
 */
(function () {
  'use strict';

  const { apex, document } = self;

  /** `itemsToSubmit` are names; the answer is what the server says, parsed. */
  function call(ajaxIdentifier, itemsToSubmit) {
    return apex.server.plugin(ajaxIdentifier, { pageItems: itemsToSubmit }, {});
  }

  const native = {
    refresh() {
      apex.region(this.action.attribute01).refresh();
    },

    serverCode() {
      const { action, resumeCallback } = this;
      call(action.ajaxIdentifier, action.attribute01.split(',').filter(Boolean)).then(
        ({ items }) => {
          for (const { name, value } of items) apex.item(name).setValue(value);
          apex.da.resume(resumeCallback, false);
        },
        () => apex.da.resume(resumeCallback, true),
      );
    },
  };

  function refreshReport(node) {
    node.dataset.refreshes = String(Number(node.dataset.refreshes || 0) + 1);
    return call(node.dataset.ajax, node.dataset.submit.split(',').filter(Boolean)).then(({ html }) => {
      node.querySelector('.t-Region-body').innerHTML = html; // the engine escapes what the query gives
    });
  }

  for (const node of document.querySelectorAll('.t-Region[data-ajax]')) {
    apex.region.create(node.id, { refresh: () => refreshReport(node) });
  }

  for (const list of document.querySelectorAll('select[data-redirect]')) {
    list.addEventListener('change', () => {
      const { APP_ID, APP_PAGE_ID, APP_SESSION } = apex.env;
      self.location.href = `/ords/f?p=${APP_ID}:${APP_PAGE_ID}:${APP_SESSION}:::::${list.id}:${list.value}`;
    });
  }

  // Enter in the only text field of a form would submit it; in APEX it does not.
  document.getElementById('wwvFlowForm').addEventListener('submit', (event) => event.preventDefault());

  for (const button of document.querySelectorAll('button[data-submit-page]')) {
    button.addEventListener('click', () => {
      document.getElementById('p_request').value = button.id;
      document.getElementById('wwvFlowForm').submit();
    });
  }

  self.apexNative = native;
})();
