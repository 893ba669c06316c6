/*
 * A stand-in for the browser half of an APEX page: the documented behaviour that the plug-ins use, on jQuery. It is
 * neither Oracle's code nor a substitute for APEX, and has item, event, da, server.plugin, message, region, debug, env.
 * Names and behaviour: Oracle APEX JavaScript API Reference 24.2. MIT License.
 */
(function () {
  'use strict';

  const $ = self.jQuery;
  const { document, console } = self;
  const query = new URLSearchParams(self.location.search);
  const written = document.documentElement.dataset;

  // What the page engine writes into each page. In the demo the address says who is logged in.
  const env = {
    APP_ID: written.appId || '100',
    APP_PAGE_ID: written.pageId || '1',
    APP_SESSION: written.session || query.get('session') || '1',
    APP_USER: written.user || query.get('user') || 'nobody',
  };

  const isDebugging = query.get('debug') === 'YES';
  const debug = {
    error: (...words) => console.error(...words),
    warn: (...words) => isDebugging && console.warn(...words),
    info: (...words) => isDebugging && console.info(...words),
    trace: (...words) => isDebugging && console.debug(...words),
    log: (...words) => isDebugging && console.log(...words),
  };

  // ---- apex.item ----

  const isDisplayOnly = (node) => !('value' in node);

  function item(name) {
    const node = document.getElementById(name);
    return {
      id: node ? name : false,
      node,
      getValue: () => (!node ? '' : isDisplayOnly(node) ? node.textContent : $(node).val()),
      setValue(value, displayValue, suppressChangeEvent) {
        if (!node) return;
        if (isDisplayOnly(node)) node.textContent = displayValue || value;
        else $(node).val(value);
        if (!suppressChangeEvent) $(node).trigger('change');
      },
      isEmpty: () => !node || !$(node).val(),
      setFocus: () => node && node.focus(),
      enable: () => $(node).prop('disabled', false),
      disable: () => $(node).prop('disabled', true),
      show: () => $(node).closest('.t-Form-field').prop('hidden', false),
      hide: () => $(node).closest('.t-Form-field').prop('hidden', true),
    };
  }

  item.isItem = (name) => {
    const node = document.getElementById(name);
    return Boolean(node && node.matches('input, select, textarea, .display_only'));
  };

  // ---- apex.event ----

  const event = {
    /** Returns whether a handler has cancelled the event. */
    trigger(selector, eventName, data) {
      const fired = $.Event(eventName);
      $(selector, document).trigger(fired, data);
      return fired.isDefaultPrevented();
    },
  };

  // ---- apex.message ----

  /** Puts a notification into its place on the page; text is text. */
  function notify(kind, text) {
    const place = document.getElementById(kind === 'success' ? 'APEX_SUCCESS_MESSAGE' : 'APEX_ERROR_MESSAGE');
    if (!place) return;
    const body = document.createElement('p');
    const close = document.createElement('button');
    close.type = 'button';
    close.textContent = '×';
    close.setAttribute('aria-label', 'Close notification');
    close.addEventListener('click', () => place.replaceChildren());
    body.textContent = text;
    place.replaceChildren(body, close);
  }

  const message = {
    showPageSuccess(text) {
      message.clearErrors();
      notify('success', text);
    },
    /** Markup in a message is not supported here: it is shown as text even where `unsafe` is false. */
    showErrors(errors) {
      notify('error', [].concat(errors).map((error) => error.message).join('\n'));
    },
    clearErrors() {
      $('#APEX_ERROR_MESSAGE').empty();
    },
    hidePageSuccess() {
      $('#APEX_SUCCESS_MESSAGE').empty();
    },
    alert(text, callback) {
      message.showErrors({ type: 'error', location: 'page', message: text });
      if (callback) callback();
    },
  };

  // ---- apex.server ----

  function pageItemNames(pageItems) {
    if (!pageItems) return [];
    if (Array.isArray(pageItems)) return pageItems.map((name) => name.replace(/^#/, ''));
    return $(pageItems).toArray().map((node) => node.id);
  }

  function formOf(ajaxIdentifier, { pageItems, ...data }) {
    const itemsToSubmit = pageItemNames(pageItems).map((name) => ({ n: name, v: item(name).getValue() }));
    return {
      p_flow_id: env.APP_ID,
      p_flow_step_id: env.APP_PAGE_ID,
      p_instance: env.APP_SESSION,
      p_debug: '',
      p_request: 'PLUGIN=' + ajaxIdentifier,
      ...data,
      p_json: JSON.stringify({ pageItems: { itemsToSubmit } }),
    };
  }

  const server = {
    /**
     * Calls the AJAX callback of a plug-in as wwv_flow.ajax is called. An answer with a member `error` is a failure
     * with textStatus "APEX" and that text, as is anything that is not JSON.
     */
    plugin(ajaxIdentifier, data = {}, { dataType = 'json', success, error } = {}) {
      const done = $.Deferred();
      const url = written.ajaxUrl || '/demo/ajax';
      const jqXHR = $.ajax({ url, type: 'POST', dataType, data: formOf(ajaxIdentifier, data) });
      const fail = (textStatus, errorThrown) => {
        if (error) error(jqXHR, textStatus, errorThrown);
        else message.showErrors({ type: 'error', location: 'page', message: errorThrown || textStatus, unsafe: true });
        done.reject(jqXHR, textStatus, errorThrown);
      };
      jqXHR.then(
        (answer, textStatus) => {
          if (answer && answer.error) return fail('APEX', answer.error);
          if (success) success(answer, textStatus, jqXHR);
          done.resolve(answer, textStatus, jqXHR);
        },
        (_jqXHR, textStatus, errorThrown) => fail(textStatus, errorThrown),
      );
      return done.promise({ abort: () => jqXHR.abort() });
    },
  };

  // ---- apex.region ----

  const regions = new Map();

  function region(staticId) {
    const widget = regions.get(staticId) || {};
    return {
      element: $('#' + staticId),
      refresh() {
        event.trigger('#' + staticId, 'apexbeforerefresh');
        const after = () => event.trigger('#' + staticId, 'apexafterrefresh');
        const going = widget.refresh && widget.refresh();
        if (going && going.then) going.then(after, after);
        else after();
      },
    };
  }

  region.isRegion = (staticId) => $('#' + staticId).is('.t-Region');
  region.create = (staticId, widget) => void regions.set(staticId, widget);

  // ---- apex.da ----

  let isCancelled = false;

  /** Runs the actions from `index` on. One that waits for its result goes on when it is resumed. */
  function runActions(actions, index, context) {
    if (index >= actions.length || isCancelled) return;
    const action = actions[index];
    const goOn = () => runActions(actions, index + 1, context);
    const stopsOnError = action.stopExecutionOnError !== false;
    const resumeCallback = (errorOccurred) => (errorOccurred && stopsOnError ? undefined : goOn());
    const isWaiting = Boolean(action.waitForResult);
    const result = action.javascriptFunction.call({
      ...context,
      action,
      affectedElements: $(action.affectedElements || []),
      resumeCallback: isWaiting ? resumeCallback : undefined,
    });
    if (result === false && stopsOnError) return;
    if (!isWaiting) goOn();
  }

  const da = {
    gEventList: [],

    init() {
      for (const { bindEventType, triggeringElement, actionList } of da.gEventList) {
        const run = (node, browserEvent, data) => {
          isCancelled = false;
          const isLoading = browserEvent === 'load';
          const actions = isLoading ? actionList.filter((action) => action.executeOnPageInit) : actionList;
          runActions(actions, 0, { triggeringElement: node, browserEvent, data });
        };
        if (bindEventType === 'ready') {
          run(document, 'load');
          continue;
        }
        const nodes = $(triggeringElement === 'document' ? document : triggeringElement);
        nodes.on(bindEventType, function (browserEvent, data) {
          run(this, browserEvent, data);
        });
        if (actionList.some((action) => action.executeOnPageInit)) nodes.each((_index, node) => run(node, 'load'));
      }
    },

    resume(callback, errorOccurred) {
      if (callback) callback(errorOccurred);
    },

    cancel() {
      isCancelled = true;
    },

    handleAjaxErrors(_jqXHR, textStatus, errorThrown, callback) {
      message.alert(errorThrown || textStatus, () => da.resume(callback, true));
    },
  };

  const util = {
    escapeHTML: (text) => String(text).replace(/[&<>"'/]/g, (one) => '&#x' + one.charCodeAt(0).toString(16) + ';'),
  };

  Object.assign(self, {
    apex: { jQuery: $, gPageContext$: $(document), env, debug, item, event, message, server, region, da, util },
  });
})();
