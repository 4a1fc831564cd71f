import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';

/** The ports that `demo/envoy.yaml` and `demo/sidecar.yaml` name, with what listens there. */
const parts = {
  envoy: { port: 10000, what: 'Envoy' },
  envoyAdmin: { port: 9901, what: "Envoy's admin page" },
  grpc: { port: 9191, what: 'identity service, gRPC' },
  http: { port: 9192, what: 'identity service, HTTP' },
  admin: { port: 9193, what: 'identity service, admin' },
  identityProvider: { port: 9400, what: 'identity provider' },
  legacy: { port: 9401, what: 'MCP backend with sessions' },
  modern: { port: 9402, what: 'MCP backend of revision 2026-07-28' },
  tracker: { port: 9403, what: 'tracker, OAuth and MCP' },
} as const;

export type Part = keyof typeof parts;
export type Ports = Readonly<Record<Part, number>>;

const names = Object.keys(parts) as Part[];

/** The usual ports, or, when `base` is given, that many consecutive ones from there. */
export function choosePorts(base: string | undefined): Ports {
  const first = Number(base);
  if (base !== undefined && !(Number.isInteger(first) && first >= 1024 && first + names.length <= 65536)) {
    throw new Error(`DEMO_PORT_BASE is "${base}"; it must be a number from 1024 to ${65536 - names.length}`);
  }
  const chosen = names.map((name, offset) => [name, base === undefined ? parts[name].port : first + offset]);
  return Object.fromEntries(chosen) as Ports;
}

/** Throws an error that names the port, its purpose and the remedy when one of them is taken. */
export async function requireFree(ports: Ports, host: string): Promise<void> {
  for (const name of names) {
    const probe = createServer();
    try {
      probe.listen(ports[name], host);
      await once(probe, 'listening');
    } catch (error) {
      const why =
        (error as NodeJS.ErrnoException).code === 'EADDRINUSE' ? 'is taken' : `cannot be used (${String(error)})`;
      throw new Error(
        `port ${ports[name]} (${parts[name].what}) ${why}. Stop what listens there, ` +
          `or choose ${names.length} other ports: DEMO_PORT_BASE=20000 npm start`,
        { cause: error },
      );
    }
    probe.close();
    await once(probe, 'close');
  }
}

/**
 * Paths of the two configuration files for these ports: the shipped ones, or, for ports of one's own,
 * copies in `directory` in which every `127.0.0.1:<port>` and `port_value: <port>` is replaced.
 */
export async function configFor(
  ports: Ports,
  root: string,
  directory: string,
): Promise<{ envoy: string; service: string }> {
  const shipped = {
    envoy: join(root, 'demo/envoy.yaml'),
    service: join(root, 'demo/sidecar.yaml'),
  };
  if (names.every((name) => ports[name] === parts[name].port)) return shipped;

  const moved = new Map<string, number>(names.map((name) => [String(parts[name].port), ports[name]]));
  const move = (text: string) =>
    text.replace(/(127\.0\.0\.1:|port_value: )(\d+)/g, (whole, before: string, port: string) =>
      moved.has(port) ? `${before}${moved.get(port)}` : whole,
    );
  const copies = {
    envoy: join(directory, 'envoy.yaml'),
    service: join(directory, 'sidecar.yaml'),
  };
  await mkdir(directory, { recursive: true });
  await writeFile(copies.envoy, move(await readFile(shipped.envoy, 'utf8')));
  // Names its neighbour as ./envoy.yaml, here as there.
  await writeFile(copies.service, move(await readFile(shipped.service, 'utf8')));
  return copies;
}
