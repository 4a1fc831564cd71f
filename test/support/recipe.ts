import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Backend, startBackend } from './backend.ts';
import { Child } from './child.ts';
import { send } from './http.ts';
import type { FakeIssuer } from './issuer.ts';
import { freePorts } from './ports.ts';
import { envoyBinary } from './stack.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** A recipe of envoy/ that runs: its files with free ports and issuers of the test, and one backend for all clusters. */
export interface Recipe {
  /** What stands for `http://127.0.0.1:10000`. */
  readonly origin: string;
  /** Stands for `https://idp.example.com`. */
  readonly issuer: FakeIssuer;
  /** Stands for `https://login.partner.example`. */
  readonly partner: FakeIssuer;
  readonly backend: Backend;
  /** What `/metrics` of the service says. */
  metrics(): Promise<string>;
  stop(): Promise<void>;
}

export interface RecipeOptions {
  /** Where the files go. */
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  readonly issuer: FakeIssuer;
  readonly partner: FakeIssuer;
  /** Puts further servers of the test into the files. */
  readonly edit?: (text: string) => string;
}

/** Runs `<name>.yaml` and `<name>.sidecar.yaml` of `source`. The API key of the recipes is `nightly`. */
export async function startRecipe(source: string, name: string, options: RecipeOptions): Promise<Recipe> {
  const { folder, env, issuer, partner, edit = (text) => text } = options;
  const backend = await startBackend();
  const [listen, admin, grpc, http, own] = (await freePorts(5)) as [number, number, number, number, number];
  const ports = new Map([
    ['10000', listen],
    ['9901', admin],
    ['9191', grpc],
    ['9192', http],
  ]);
  const moved = (text: string) =>
    edit(text)
      .replace(/(127\.0\.0\.1:|port_value: )(\d+)/g, (whole, before: string, port: string) =>
        /^94\d\d$/.test(port) ? `${before}${backend.port}` : ports.has(port) ? `${before}${ports.get(port)}` : whole,
      )
      .replaceAll('https://idp.example.com', issuer.issuer)
      .replaceAll('https://login.partner.example', partner.issuer)
      .replace(/sha256: "0{64}"/, `sha256: ${createHash('sha256').update('nightly').digest('hex')}`);
  const files = { envoy: join(folder, `${name}.yaml`), service: join(folder, 'sidecar.yaml') };
  writeFileSync(files.envoy, moved(readFileSync(join(source, `${name}.yaml`), 'utf8')));
  const server = `server: { grpc: '127.0.0.1:${grpc}', http: '127.0.0.1:${http}', admin: '127.0.0.1:${own}' }\n`;
  writeFileSync(files.service, server + moved(readFileSync(join(source, `${name}.sidecar.yaml`), 'utf8')));

  const children: Child[] = [];
  const stop = async () => {
    for (const child of children.toReversed()) await child.stop();
    await backend.stop();
  };
  try {
    const service = new Child('service', process.execPath, [MAIN, 'serve', '--config', files.service], env);
    children.push(service);
    await service.until(() => service.stderr.includes('"message":"serving"'));
    const args = ['-c', files.envoy, '--use-dynamic-base-id', '--concurrency', '1', '--log-level', 'info'];
    const envoy = new Child('envoy', envoyBinary(), args);
    children.push(envoy);
    await envoy.until(() => envoy.stderr.includes('starting main dispatch loop'));
    await send(`http://127.0.0.1:${admin}/ready`);
  } catch (error) {
    await stop();
    throw error;
  }
  const metrics = async () => (await send(`http://127.0.0.1:${own}/metrics`)).body;
  return { origin: `http://127.0.0.1:${listen}`, issuer, partner, backend, metrics, stop };
}
