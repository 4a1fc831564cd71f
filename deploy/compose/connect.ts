// docker compose exec tracker node deploy/compose/connect.ts alice "$LINK", or alice http://127.0.0.1:10000/connect disconnect:
// demo/connect.ts inside a container, where the port in links, the published one, may not be the one that Envoy listens on.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { choosePorts } from '../../demo/ports.ts';
import { publishedPorts } from './templates.ts';

const [inside, outside] = [choosePorts(undefined).envoy, publishedPorts(process.env).envoy];
// Nothing of it keeps this process: it ends with its last request.
const door = createServer((socket) => {
  const envoy = connect(inside, '127.0.0.1').unref();
  socket.unref();
  socket.on('error', () => envoy.destroy()).pipe(envoy);
  envoy.on('error', () => socket.destroy()).pipe(socket);
}).unref();
if (outside !== inside) {
  door.listen(outside, '127.0.0.1');
  await once(door, 'listening');
}
await import('../../demo/connect.ts');
