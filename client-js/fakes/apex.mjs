// The part of the apex namespace that the two dynamic actions call. Everything they do is noted.

export class FakeApex {
  events = [];
  values = new Map();
  ajax = [];
  resumed = [];
  messages = [];
  logged = [];
  shown = [];
  refreshed = [];
  regions = new Set(['EMP', 'DEPT']);
  /** What the plug-in in the database answers; an Error makes the call fail. */
  answer = {};

  /** @param {Record<string, string | string[]>} items */
  constructor(items = {}) {
    this.items = new Map(Object.entries(items));
    this.env = { APP_ID: '100', APP_PAGE_ID: '10', APP_SESSION: '1', APP_USER: 'SCOTT' };
    this.event = { trigger: (target, name, data) => this.events.push({ target, name, data }) };
    this.server = { plugin: (...call) => this.#plugin(...call) };
    this.da = { resume: (callback, hasFailed) => callback && this.resumed.push(hasFailed) };
    this.message = {
      clearErrors: () => (this.messages = []),
      showErrors: (error) => this.messages.push(error),
      showPageSuccess: (text) => this.shown.push(text),
    };
    this.region = Object.assign((id) => ({ refresh: () => this.refreshed.push(id) }), {
      isRegion: (id) => this.regions.has(id),
    });
    const log = (level) => (...words) => this.logged.push([level, words.join(' ')]);
    this.debug = { error: log('error'), warn: log('warn'), info: log('info') };
    this.item = Object.assign((name) => this.#item(name), { isItem: (name) => this.items.has(name) });
  }

  #item(name) {
    return {
      getValue: () => this.items.get(name),
      setValue: (value, display, isQuiet) => {
        if (this.items.get(name) === 'broken') throw new Error('this item cannot');
        this.items.set(name, value);
        this.set = { name, value, display, isQuiet };
      },
    };
  }

  #plugin(ajaxIdentifier, data, options) {
    this.ajax.push({ ajaxIdentifier, data });
    const { answer } = this;
    if (answer instanceof Error) options.error({}, 'APEX', answer.message);
    else options.success(answer, 'success', {});
    return Promise.resolve(answer);
  }

  named(name) {
    return this.events.filter((event) => event.name === name).map(({ data }) => data);
  }
}
