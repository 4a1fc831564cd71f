/** Ports of the host machine under which clients and browsers reach the stack. */
export interface PublishedPorts {
  /** Envoy; 10000 inside. */
  readonly envoy: number;
  /** The demo identity provider. Its issuer is a URL, which has to be the same inside and outside: so is the port. */
  readonly identityProvider: number;
}

/** Where the shipped files say what depends on the published ports. */
const SHIPPED = {
  listener: 'address: 127.0.0.1, port_value: 10000',
  origin: 'http://127.0.0.1:10000',
  issuer: 'http://127.0.0.1:9400',
} as const;

/** `ENVOY_PORT` and `IDP_PORT`, as docker-compose.yml hands them on. @throws when one is no port */
export function publishedPorts(env: Readonly<Record<string, string | undefined>>): PublishedPorts {
  const port = (name: string, fallback: number): number => {
    const text = env[name] ?? '';
    const value = text === '' ? fallback : Number(text);
    if (!Number.isInteger(value) || value < 1 || value > 65_535)
      throw new Error(`${name} is "${text}", which is no port`);
    return value;
  };
  return { envoy: port('ENVOY_PORT', 10_000), identityProvider: port('IDP_PORT', 9400) };
}

/**
 * `envoy/envoy.yaml` for a container: it listens on every address of its namespace (Docker publishes the port on the
 * host's loopback only), and resources carry the URL that clients use.
 * @throws when the file no longer says what has to be replaced
 */
export function envoyForContainer(yaml: string, ports: PublishedPorts): string {
  const listening = replaceIn(yaml, SHIPPED.listener, 'address: 0.0.0.0, port_value: 10000');
  return replaceIn(listening, SHIPPED.origin, `http://127.0.0.1:${ports.envoy}`);
}

/** `sidecar.yaml` of this folder with the URLs that clients use. @throws as above */
export function sidecarForContainer(yaml: string, ports: PublishedPorts): string {
  const origin = replaceIn(yaml, SHIPPED.origin, `http://127.0.0.1:${ports.envoy}`);
  return replaceIn(origin, SHIPPED.issuer, `http://127.0.0.1:${ports.identityProvider}`);
}

function replaceIn(text: string, from: string, to: string): string {
  if (!text.includes(from)) throw new Error(`there is no "${from}" to replace`);
  return text.replaceAll(from, to);
}
