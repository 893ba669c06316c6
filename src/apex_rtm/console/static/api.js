/* HTTP between the page and the server: JSON both ways, and one place where a login that has ended is noticed. */
(function () {
  'use strict';

  const { rtmConsole } = self;

  class Failure extends Error {
    constructor(code, message) {
      super(message);
      this.code = code;
    }
  }

  async function call(method, path, body) {
    let response;
    try {
      response = await self.fetch(`/console/api/${path}`, {
        method,
        headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
        body: body === undefined ? undefined : JSON.stringify(body),
        credentials: 'same-origin',
        cache: 'no-store',
      });
    } catch {
      throw new Failure('unreachable', 'The server does not answer.');
    }
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    if (response.status === 401 && path !== 'login') rtmConsole.signedOut();
    throw new Failure(answer.code || 'internal', answer.message || `The server answered ${response.status}.`);
  }

  /** Leaves out what is empty. */
  function query(parameters) {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(parameters)) {
      if (value !== '' && value !== null && value !== undefined) search.set(name, value);
    }
    const text = search.toString();
    return text ? `?${text}` : '';
  }

  rtmConsole.get = (path, parameters) => call('GET', path + query(parameters || {}));
  rtmConsole.post = (path, body, parameters) => call('POST', path + query(parameters || {}), body || {});
  rtmConsole.query = query;
})();
