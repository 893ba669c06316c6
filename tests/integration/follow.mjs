// Node's `ws` as a client of the protocol: subscribe, print each publication as a line, end after the given number.
import WebSocket from 'ws';

const [url, channel, count] = process.argv.slice(2);
const socket = new WebSocket(url, 'rtm.v1');
let left = Number(count);

socket.on('open', () => socket.send(JSON.stringify({ type: 'subscribe', channel, id: 1 })));
socket.on('message', (data) => {
  console.log(data.toString());
  if (JSON.parse(data).type === undefined) left -= 1;
  if (left === 0) socket.close(1000);
});
socket.on('close', (code) => process.exit(code === 1000 ? 0 : 1));
