// Health check of a container, without a shell or curl: node healthcheck.mjs [URL…]
// http(s)://… must answer 200; tcp://host:port must accept a connection. Default: HEALTH_URL, else /readyz of `server.admin`.
import { connect } from 'node:net';

const LIMIT_MS = 2_500;
const targets = process.argv.slice(2);
if (targets.length === 0) targets.push(process.env['HEALTH_URL'] ?? 'http://127.0.0.1:9193/readyz');

/** @param {string} target */
function probe(target) {
  const url = new URL(target);
  return url.protocol === 'tcp:' ? reach(url.hostname, Number(url.port)) : ask(url);
}

/** @param {URL} url */
async function ask(url) {
  const answer = await fetch(url, { signal: AbortSignal.timeout(LIMIT_MS) });
  if (answer.status !== 200) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
}

/**
 * @param {string} host
 * @param {number} port
 */
function reach(host, port) {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: LIMIT_MS });
    socket.once('connect', () => resolve(socket.destroy()));
    socket.once('timeout', () => socket.destroy(new Error(`${host}:${port}: no answer`)));
    socket.once('error', reject);
  });
}

try {
  await Promise.all(targets.map(probe));
} catch (error) {
  process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`); // `docker inspect` shows it
  process.exitCode = 1;
}
