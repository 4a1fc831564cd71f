import { startIdentityProvider } from './identity-provider.ts';
import { describeCaller } from './mcp-content.ts';
import { startLegacyBackend } from './mcp-legacy.ts';
import { startModernBackend } from './mcp-modern.ts';
import type { Ports } from './ports.ts';
import type { OnRequest, Running } from './web-server.ts';

export interface BackingServices {
  stop(): Promise<void>;
}

/**
 * What a real installation has already: an identity provider and two MCP servers.
 * `log` gets one line per request that a backend received.
 */
export async function startBackingServices(
  ports: Ports,
  host: string,
  log: (line: string) => void,
): Promise<BackingServices> {
  const started: Running[] = [];
  const note =
    (backend: string): OnRequest =>
    (headers, body) => {
      const what = /"method"\s*:\s*"([^"]+)"/.exec(body)?.[1] ?? 'no JSON-RPC request';
      log(`${new Date().toISOString()} ${backend} ${what} | ${describeCaller(headers).replaceAll('\n', ' | ')}`);
    };
  const stop = async () => {
    await Promise.all(started.map((running) => running.stop()));
  };
  try {
    started.push(await startIdentityProvider({ port: ports.identityProvider, host }));
    started.push(
      await startLegacyBackend({
        port: ports.legacy,
        host,
        onRequest: note('legacy'),
      }),
    );
    started.push(
      await startModernBackend({
        port: ports.modern,
        host,
        onRequest: note('modern'),
      }),
    );
  } catch (error) {
    await stop();
    throw error;
  }
  return { stop };
}
