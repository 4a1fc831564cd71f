// node deploy/compose/setup.ts CONFIG KEYS CLIENTS, the service `setup` of docker-compose.yml: writes the configuration into
// the folder CONFIG, and at the first start the service's keys into the folder KEYS, and the secrets that it shares with
// the identity provider and the tracker into the folder CLIENTS. Runs before everything else and ends.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { envoyForContainer, publishedPorts, sidecarForContainer } from './templates.ts';

const [configFolder, keyFolder, clientFolder] = process.argv.slice(2);
if (configFolder === undefined || keyFolder === undefined || clientFolder === undefined)
  throw new Error('name three folders: CONFIG, KEYS and CLIENTS');
const root = join(import.meta.dirname, '../..');
const ports = publishedPorts(process.env);

// World-readable: Envoy runs as a user of its own.
const publish = (name: string, text: string) => writeFile(join(configFolder, name), text, { mode: 0o644 });
await publish('envoy.yaml', envoyForContainer(await readFile(join(root, 'demo/envoy.yaml'), 'utf8'), ports));
await publish(
  'sidecar.yaml',
  sidecarForContainer(await readFile(join(import.meta.dirname, 'sidecar.yaml'), 'utf8'), ports),
);

const aesKey = () => randomBytes(32).toString('base64');
const clientSecret = () => randomBytes(32).toString('base64url');
const made: readonly (readonly [folder: string, name: string, make: () => string])[] = [
  [keyFolder, 'vault', aesKey],
  [keyFolder, 'session', aesKey],
  [keyFolder, 'cookie', aesKey],
  [keyFolder, 'assertion-hmac', () => randomBytes(48).toString('base64')],
  [
    keyFolder,
    'assertion.pem',
    () =>
      generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  ],
  [clientFolder, 'login', clientSecret],
  [clientFolder, 'tracker', clientSecret],
];
for (const [folder, name, make] of made) {
  try {
    // What is sealed in Redis and in sessions stays readable over restarts, so a key that is there is kept.
    await writeFile(join(folder, name), make(), { mode: 0o600, flag: 'wx' });
    console.log(`made ${join(folder, name)}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
console.log(
  `configured for http://127.0.0.1:${ports.envoy}, identity provider http://127.0.0.1:${ports.identityProvider}, ` +
    `tracker http://127.0.0.1:${ports.tracker}`,
);
