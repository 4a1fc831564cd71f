// node deploy/compose/demo-services.ts identity-provider|backends: parts of the demo, each as a container of its own.
import { startIdentityProvider } from '../../demo/identity-provider.ts';
import { describeCaller } from '../../demo/mcp-content.ts';
import { startLegacyBackend } from '../../demo/mcp-legacy.ts';
import { startModernBackend } from '../../demo/mcp-modern.ts';
import { choosePorts } from '../../demo/ports.ts';
import { untilSignal } from '../../demo/until-signal.ts';
import { publishedPorts } from './templates.ts';

const interrupted = untilSignal();
const ports = choosePorts(undefined);

async function startBackends() {
  const seen = (name: string) => (headers: Parameters<typeof describeCaller>[0]) =>
    console.log(`${name} | ${describeCaller(headers).replaceAll('\n', ' | ')}`);
  // Loopback: MCP servers that believe headers must not be reachable but through Envoy.
  return Promise.all([
    startLegacyBackend({ port: ports.legacy, onRequest: seen('legacy') }),
    startModernBackend({ port: ports.modern, onRequest: seen('modern') }),
  ]);
}

const roles: Record<string, () => Promise<readonly { readonly url: string; stop(): Promise<void> }[]>> = {
  // Every address: people sign in from the host, to whose loopback the port is published.
  'identity-provider': async () => [
    await startIdentityProvider({ port: publishedPorts(process.env).identityProvider, host: '0.0.0.0' }),
  ],
  backends: startBackends,
};

const role = process.argv[2] ?? '';
const start = Object.hasOwn(roles, role) ? roles[role] : undefined;
if (!start) throw new Error(`say which one: ${Object.keys(roles).join(' or ')}`);
const running = await start();
console.log(`${role}: ${running.map(({ url }) => url).join(', ')}`);
await interrupted;
await Promise.all(running.map((server) => server.stop()));
