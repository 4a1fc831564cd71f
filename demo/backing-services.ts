import { connectPagesClient, trackerClient } from './account-clients.ts';
import { startIdentityProvider } from './identity-provider.ts';
import { describeCaller } from './mcp-content.ts';
import { startLegacyBackend } from './mcp-legacy.ts';
import { startModernBackend } from './mcp-modern.ts';
import type { Ports } from './ports.ts';
import { startTracker } from './tracker.ts';
import type { OnRequest, Running } from './web-server.ts';

export interface BackingServices {
  stop(): Promise<void>;
}

/** What it takes to have accounts at the tracker: the two clients that the service is, as `demo/sidecar.yaml` has them. */
export interface AccountOptions {
  readonly loginSecret: string;
  readonly trackerSecret: string;
  /** Lifetime of the tracker's access tokens; default 20 s. */
  readonly tokenSeconds?: number | undefined;
}

/**
 * What a real installation has already: an identity provider and two MCP servers; with `accounts`, also a service
 * where people have accounts of their own. `log` gets one line per request that a backend received.
 */
export async function startBackingServices(
  ports: Ports,
  host: string,
  log: (line: string) => void,
  accounts?: AccountOptions,
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
    const publicUrl = `http://127.0.0.1:${ports.envoy}`;
    const login = accounts && connectPagesClient(publicUrl, accounts.loginSecret);
    started.push(
      await startIdentityProvider({ port: ports.identityProvider, host, clients: login === undefined ? [] : [login] }),
    );
    if (accounts) {
      started.push(
        await startTracker({
          port: ports.tracker,
          host,
          client: trackerClient(publicUrl, accounts.trackerSecret),
          tokenSeconds: accounts.tokenSeconds,
          onRequest: note('tracker'),
        }),
      );
    }
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
