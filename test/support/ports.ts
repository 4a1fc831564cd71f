import { type AddressInfo, createServer, type Server } from 'node:net';

/**
 * Below the ports that systems give to outgoing connections (Linux: from 32,768 on): so none of those takes the port of
 * a server while that is restarted.
 */
const RANGE = { first: 10_240, count: 22_000 } as const;
const ATTEMPTS = 50;

/** Free loopback ports, all different: each is held until all are found. */
export async function freePorts(count: number): Promise<number[]> {
  const held: Server[] = [];
  try {
    while (held.length < count) held.push(await listen());
    return held.map((server) => (server.address() as AddressInfo).port);
  } finally {
    await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

async function listen(): Promise<Server> {
  for (let attempt = 1; ; attempt++) {
    const server = createServer();
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(RANGE.first + Math.floor(Math.random() * RANGE.count), '127.0.0.1', resolve);
      });
      return server;
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
    }
  }
}
