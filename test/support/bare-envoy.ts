import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  Server,
  ServerCredentials,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerUnaryCall,
} from '@grpc/grpc-js';
import { loadSync, type MethodDefinition } from '@grpc/proto-loader';
import { answering } from './answering.ts';
import { type Backend, startBackend } from './backend.ts';
import { Child } from './child.ts';
import { type EnvoyOptions, envoyConfig, type TestRoute } from './envoy-config.ts';
import { freePorts } from './ports.ts';
import { envoyBinary } from './stack.ts';

const PROTO = fileURLToPath(new URL('../../proto', import.meta.url));

/** A message as proto-loader has it: snake_case fields, enums as texts, bytes as Buffers. */
type Message = any;

export interface BareEnvoy {
  readonly origin: string;
  readonly backend: Backend;
  /** What Check answers from now on: an object, or the bytes of a CheckResponse. */
  check: (request: Message, bytes: Buffer) => Message;
  /** What Process answers to each message; undefined ends the stream. */
  process: (request: Message) => Message;
  stop(): Promise<void>;
}

/** Lets everything pass and changes nothing. */
export const PASS = { status: { code: 0 }, ok_response: {} };

/** A real Envoy before a recording backend, with both of its filters answered by the test itself. */
export async function startBareEnvoy(options: EnvoyOptions & { routes: readonly TestRoute[] }): Promise<BareEnvoy> {
  const load = { includeDirs: [PROTO], enums: String, keepCase: true, oneofs: true, longs: String };
  const method = (file: string, service: string, name: string) =>
    (loadSync(file, load)[service] as Record<string, MethodDefinition<object, object>>)[name]!;
  const check = method('envoy/service/auth/v3/external_auth.proto', 'envoy.service.auth.v3.Authorization', 'Check');
  const process = method(
    'envoy/service/ext_proc/v3/external_processor.proto',
    'envoy.service.ext_proc.v3.ExternalProcessor',
    'Process',
  );
  const asBytes = { requestDeserialize: (bytes: Buffer) => bytes, responseSerialize: (bytes: Buffer) => bytes };

  const folder = mkdtempSync(join(tmpdir(), 'emi-facts-'));
  const backend = await startBackend();
  const bare: BareEnvoy = {
    origin: '',
    backend,
    check: () => PASS,
    process: continues,
    async stop() {
      await envoy?.stop('SIGTERM');
      server.forceShutdown();
      await backend.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };

  const server = new Server();
  server.addService(
    { Check: { ...check, ...asBytes } },
    {
      Check(call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) {
        const response = bare.check(check.requestDeserialize(call.request), call.request);
        answer(null, Buffer.isBuffer(response) ? response : check.responseSerialize(response));
      },
    },
  );
  server.addService(
    { Process: { ...process, ...asBytes } },
    {
      Process(call: ServerDuplexStream<Buffer, Buffer>) {
        call.on('data', (bytes: Buffer) => {
          const response = bare.process(process.requestDeserialize(bytes));
          if (response === undefined) call.end();
          else call.write(process.responseSerialize(response));
        });
        call.on('end', () => call.end());
        call.on('error', () => {}); // Envoy may leave at any time
      },
    },
  );

  let envoy: Child | undefined;
  try {
    const grpc = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      );
    });
    const [listen, admin] = (await freePorts(2)) as [number, number];
    const file = join(folder, 'envoy.json');
    const ports = { listen, admin, backend: backend.port, grpc: [grpc], http: backend.port };
    writeFileSync(file, JSON.stringify(envoyConfig(ports, options.routes, options)));
    const running = new Child('envoy', envoyBinary(), [
      '-c',
      file,
      '--use-dynamic-base-id',
      '--concurrency',
      '1',
      '--log-level',
      'warning',
    ]);
    envoy = running;
    await answering(`http://127.0.0.1:${admin}/ready`, running);
    return Object.assign(bare, { origin: `http://127.0.0.1:${listen}` });
  } catch (error) {
    await bare.stop();
    throw error;
  }
}

/** The answer of a processor that changes nothing, to whichever message. */
export function continues(message: Message): Message {
  const kind = message.request as string;
  return { [kind]: kind.endsWith('trailers') ? {} : { response: {} } };
}
