// node demo/backing.ts: only the identity provider and the MCP backends, for people who run Envoy and the
// service by themselves or in containers. DEMO_PORT_BASE as in `npm start`; DEMO_HOST is the address to listen on.
// With DEMO_LOGIN_SECRET and DEMO_TRACKER_SECRET also the tracker; demo/sidecar.yaml names the same variables.
import { startBackingServices } from './backing-services.ts';
import { choosePorts } from './ports.ts';
import { untilSignal } from './until-signal.ts';

const ports = choosePorts(process.env['DEMO_PORT_BASE']);
const interrupted = untilSignal();
const { DEMO_LOGIN_SECRET: loginSecret, DEMO_TRACKER_SECRET: trackerSecret } = process.env;
const services = await startBackingServices(
  ports,
  process.env['DEMO_HOST'] ?? '127.0.0.1',
  (line) => console.log(line),
  loginSecret && trackerSecret ? { loginSecret, trackerSecret } : undefined,
);
console.log(`identity provider ${ports.identityProvider}, MCP backends ${ports.legacy} and ${ports.modern}`);
await interrupted;
await services.stop();
