// node deploy/compose/demo-services.ts identity-provider|tracker|backends: parts of the demo, each as a container of its own.
import { readFile } from 'node:fs/promises';
import { connectPagesClient, trackerClient } from '../../demo/account-clients.ts';
import { startIdentityProvider } from '../../demo/identity-provider.ts';
import { describeCaller } from '../../demo/mcp-content.ts';
import { startLegacyBackend } from '../../demo/mcp-legacy.ts';
import { startModernBackend } from '../../demo/mcp-modern.ts';
import { choosePorts } from '../../demo/ports.ts';
import { chooseTokenSeconds } from '../../demo/secrets.ts';
import { startTracker } from '../../demo/tracker.ts';
import { untilSignal } from '../../demo/until-signal.ts';
import type { OnRequest, Running } from '../../demo/web-server.ts';
import { publishedPorts } from './templates.ts';

/** For people who come from the host, to whose loopback the port is published. */
const EVERY_ADDRESS = '0.0.0.0';

const interrupted = untilSignal();
const ports = choosePorts(undefined);
const published = publishedPorts(process.env);
const publicUrl = `http://127.0.0.1:${published.envoy}`;

/** What `setup` has made. */
const clientSecret = (name: string) => readFile(`/clients/${name}`, 'utf8');

const seen =
  (name: string): OnRequest =>
  (headers) =>
    console.log(`${name} | ${describeCaller(headers).replaceAll('\n', ' | ')}`);

const roles: Record<string, () => Promise<readonly Running[]>> = {
  'identity-provider': async () => [
    await startIdentityProvider({
      port: published.identityProvider,
      host: EVERY_ADDRESS,
      clients: [connectPagesClient(publicUrl, await clientSecret('login'))],
    }),
  ],
  tracker: async () => [
    await startTracker({
      port: published.tracker,
      host: EVERY_ADDRESS,
      client: trackerClient(publicUrl, await clientSecret('tracker')),
      tokenSeconds: chooseTokenSeconds(process.env['DEMO_TOKEN_SECONDS']),
      onRequest: seen('tracker'),
    }),
  ],
  // Loopback: MCP servers that believe headers must not be reachable but through Envoy.
  backends: () =>
    Promise.all([
      startLegacyBackend({ port: ports.legacy, onRequest: seen('legacy') }),
      startModernBackend({ port: ports.modern, onRequest: seen('modern') }),
    ]),
};

const role = process.argv[2] ?? '';
const start = Object.hasOwn(roles, role) ? roles[role] : undefined;
if (!start) throw new Error(`say which one: ${Object.keys(roles).join(', ')}`);
const running = await start();
console.log(`${role}: ${running.map(({ url }) => url).join(', ')}`);
await interrupted;
await Promise.all(running.map((server) => server.stop()));
