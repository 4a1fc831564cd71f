/** Ports of the host machine under which clients and browsers reach the stack. */
export interface PublishedPorts {
  /** Envoy; 10000 inside. */
  readonly envoy: number;
  /** The demo identity provider. Its issuer is a URL, which has to be the same inside and outside: so is the port. */
  readonly identityProvider: number;
  /** The demo's tracker; its issuer, too. */
  readonly tracker: number;
}

/** Where the shipped files say what depends on the published ports. */
const SHIPPED = {
  listener: 'address: 127.0.0.1, port_value: 10000',
  origin: 'http://127.0.0.1:10000',
  issuer: 'http://127.0.0.1:9400',
  tracker: 'http://127.0.0.1:9403',
  trackerEndpoint: 'address: 127.0.0.1, port_value: 9403',
} as const;

/** What listens inside beside the parts whose ports can be chosen: Envoy, its admin page, the service, MCP servers. */
const TAKEN_INSIDE: ReadonlySet<number> = new Set([10_000, 9901, 9191, 9192, 9193, 9401, 9402]);

/** `ENVOY_PORT`, `IDP_PORT` and `TRACKER_PORT`, as docker-compose.yml hands them on. @throws when one is no port, or taken */
export function publishedPorts(env: Readonly<Record<string, string | undefined>>): PublishedPorts {
  const port = (name: string, fallback: number): number => {
    const text = env[name] ?? '';
    const value = text === '' ? fallback : Number(text);
    if (!Number.isInteger(value) || value < 1 || value > 65_535)
      throw new Error(`${name} is "${text}", which is no port`);
    return value;
  };
  const ports = {
    envoy: port('ENVOY_PORT', 10_000),
    identityProvider: port('IDP_PORT', 9400),
    tracker: port('TRACKER_PORT', 9403),
  };
  const inside = [ports.identityProvider, ports.tracker];
  if (new Set([...inside, ports.envoy]).size < 3) throw new Error('ENVOY_PORT, IDP_PORT and TRACKER_PORT must differ');
  const taken = inside.find((value) => TAKEN_INSIDE.has(value));
  if (taken !== undefined)
    throw new Error(`IDP_PORT and TRACKER_PORT are used inside as well, where ${taken} is taken`);
  return ports;
}

/**
 * `demo/envoy.yaml` for a container: it listens on every address of its namespace (Docker publishes the port on the
 * host's loopback only), and resources carry the URL that clients use.
 * @throws when the file no longer says what has to be replaced
 */
export function envoyForContainer(yaml: string, ports: PublishedPorts): string {
  const listening = replaceIn(yaml, SHIPPED.listener, 'address: 0.0.0.0, port_value: 10000');
  const tracker = `address: 127.0.0.1, port_value: ${ports.tracker}`;
  return replaceIn(
    replaceIn(listening, SHIPPED.trackerEndpoint, tracker),
    SHIPPED.origin,
    `http://127.0.0.1:${ports.envoy}`,
  );
}

/** `sidecar.yaml` of this folder with the URLs that clients use. @throws as above */
export function sidecarForContainer(yaml: string, ports: PublishedPorts): string {
  // In one pass: a chosen port may be another part's usual one.
  const chosen = new Map<string, number>([
    [SHIPPED.origin, ports.envoy],
    [SHIPPED.issuer, ports.identityProvider],
    [SHIPPED.tracker, ports.tracker],
  ]);
  for (const url of chosen.keys()) mustHold(yaml, url);
  return yaml.replaceAll(/http:\/\/127\.0\.0\.1:\d+/g, (url) =>
    chosen.has(url) ? `http://127.0.0.1:${chosen.get(url)}` : url,
  );
}

function replaceIn(text: string, from: string, to: string): string {
  mustHold(text, from);
  return text.replaceAll(from, to);
}

function mustHold(text: string, what: string): void {
  if (!text.includes(what)) throw new Error(`there is no "${what}" to replace`);
}
