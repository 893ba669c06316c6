/* The curl line of the demo, with the address of this very server. MIT License. */
(function () {
  'use strict';

  const { document, location, navigator } = self;
  const place = document.getElementById('CURL');
  const button = document.getElementById('COPY');
  const message = {
    channel: 'test',
    eventName: 'ping',
    payload: { itemName: 'P10_MESSAGE', value: 'Hello from a shell' },
  };

  place.textContent = [
    `curl -X POST ${location.origin}/api/broadcast`,
    "-H 'Content-Type: application/json'",
    `-d '${JSON.stringify(message)}'`,
  ].join(' \\\n  ');

  button.addEventListener('click', () => {
    self.getSelection().selectAllChildren(place); // what is left to the user where the clipboard is refused
    navigator.clipboard.writeText(place.textContent).then(
      () => (button.textContent = 'Copied'),
      () => (button.textContent = 'Selected'),
    );
  });
})();
