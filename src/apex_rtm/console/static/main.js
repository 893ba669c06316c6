/* Login, the way from page to page, and the connection that all of them share. MIT License. */
(function () {
  'use strict';

  const { rtmConsole, document, location } = self;
  const at = (id) => document.getElementById(id);
  const PAGE_OF = { channel: 'channels' }; // which entry of the menu a page belongs to
  const WORDS = { connecting: 'connecting', live: 'live', away: 'reconnecting' };
  const LOOPBACK = ['localhost', '127.0.0.1', '[::1]'];
  let current = null;
  let isFirst = true;

  function showLogin() {
    rtmConsole.socket.close();
    if (current) current.close();
    current = null;
    at('MAIN').replaceChildren();
    at('SHELL').hidden = true;
    at('LOGIN').hidden = false;
    at('LOGIN_PLAIN').hidden = location.protocol === 'https:' || LOOPBACK.includes(location.hostname);
    at('KEY').focus();
  }

  async function logIn(event) {
    event.preventDefault();
    at('LOGIN_ERROR').textContent = '';
    try {
      await rtmConsole.post('login', { key: at('KEY').value });
      at('KEY').value = '';
      await enter();
    } catch (failure) {
      at('LOGIN_ERROR').textContent = failure.message;
      at('KEY').select();
    }
  }

  async function enter() {
    const about = await rtmConsole.get('about');
    at('ABOUT').textContent = `${about.version} · ${about.mode} mode · engine ${about.engine}`;
    at('NODE').textContent = `, ${rtmConsole.visible(about.node)}`;
    at('LOGOUT').hidden = !about.needsLogin;
    await rtmConsole.loadCharts(about.hasCharts);
    at('LOGIN').hidden = true;
    at('SHELL').hidden = false;
    rtmConsole.socket.onState = (state) => {
      at('STATE').textContent = WORDS[state];
      at('STATE').dataset.state = state;
    };
    rtmConsole.socket.onFigures = (row) => {
      rtmConsole.addFigures(row);
      if (current && current.onFigures) current.onFigures();
    };
    rtmConsole.socket.open();
    route();
  }

  async function logOut() {
    await rtmConsole.post('logout').catch(() => undefined);
    showLogin();
  }

  function route() {
    if (at('SHELL').hidden) return;
    const [path, search] = location.hash.replace(/^#\/?/, '').split('?');
    const name = Object.keys(rtmConsole.pages).includes(path) ? path : 'overview';
    for (const link of at('NAV').querySelectorAll('a')) {
      const isCurrent = link.getAttribute('href') === `#/${PAGE_OF[name] || name}`;
      if (isCurrent) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    if (current) current.close();
    current = rtmConsole.pages[name];
    Promise.resolve(current.open(at('MAIN'), new URLSearchParams(search || '')))
      .catch((failure) => rtmConsole.toast(failure.message, true));
    const heading = at('MAIN').querySelector('h1');
    document.title = `${heading.textContent} · apex-rtm console`;
    if (!isFirst) heading.focus(); // who goes to a page by a link hears or sees where they are
    isFirst = false;
    self.scrollTo(0, 0);
  }

  /** A slash goes to the first field, as in many tools; not while somebody types. */
  function onKey(event) {
    if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey) return;
    if (['INPUT', 'TEXTAREA', 'SELECT'].includes(document.activeElement.tagName)) return;
    const first = at('MAIN').querySelector('input');
    if (!first) return;
    event.preventDefault();
    first.focus();
  }

  rtmConsole.signedOut = () => {
    if (at('LOGIN').hidden) showLogin();
  };
  self.addEventListener('hashchange', route);
  self.addEventListener('unhandledrejection', (event) => {
    const failure = event.reason;
    if (!failure || !failure.code) return;
    event.preventDefault(); // a list that could not be renewed: said, and tried again by the next tick
    if (failure.code !== 'unauthorized') rtmConsole.toast(failure.message, true);
  });
  document.addEventListener('keydown', onKey);
  at('LOGIN_FORM').addEventListener('submit', logIn);
  at('LOGOUT').addEventListener('click', logOut);
  document.querySelector('.skip').addEventListener('click', (event) => {
    event.preventDefault(); // the address after the # is the page
    at('MAIN').focus();
  });
  rtmConsole.get('session').then(
    ({ signedIn }) => (signedIn ? enter() : showLogin()),
    (failure) => {
      showLogin();
      at('LOGIN_ERROR').textContent = failure.message;
    },
  );
})();
