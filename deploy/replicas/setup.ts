// node deploy/replicas/setup.ts CONFIG, the service `setup-replicas` of docker-compose.yml: reads what the stack's own
// `setup` wrote into the folder CONFIG, and adds the second replica.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { secondReplica, withSecondReplica } from './templates.ts';

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error('name the folder CONFIG');
const read = (name: string) => readFile(join(folder, name), 'utf8');
// World-readable: Envoy runs as a user of its own.
const publish = (name: string, text: string) => writeFile(join(folder, name), text, { mode: 0o644 });
await publish('sidecar-2.yaml', secondReplica(await read('sidecar.yaml')));
await publish('envoy.yaml', withSecondReplica(await read('envoy.yaml')));
console.log('two replicas: gRPC at 9191 and 9291');
