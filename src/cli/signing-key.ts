import { parseArgs } from 'node:util';
import { backendKey } from '../propagation/signers.ts';
import { type Io, processIo } from './io.ts';
import { printProblems } from './report.ts';
import { loadConfig } from '../config/load.ts';

const HELP = `envoy-mcp-identity signing-key --config sidecar.yaml --backend NAME [--key ID]

Prints, in base64url, the key with which that backend verifies HS256 assertions
(identityPropagation.sign: hmac). Give it to that backend only.

  --config FILE    the configuration file
  --backend NAME   \`backend\` of the route
  --key ID         a key of signing.keys; default: signing.current.hmac
`;

/** Prints one backend's key; exit 1 when there is none. */
export async function signingKey(argv: readonly string[], io: Io = processIo()): Promise<number> {
  const options = readOptions(argv);
  if (typeof options === 'string') {
    io.stderr.write(`signing-key: ${options}\n\n${HELP}`);
    return 2;
  }
  if (options.help) {
    io.stdout.write(HELP);
    return 0;
  }
  const loaded = loadConfig(options.config, io.env);
  if (!loaded.ok) {
    printProblems(loaded.problems, io.stderr, io);
    return 1;
  }
  const { current, keys } = loaded.config.signing;
  const id = options.key ?? current.hmac;
  const key = keys.find((one) => one.id === id);
  if (key?.alg !== 'HS256') {
    io.stderr.write(
      id === undefined
        ? 'signing-key: signing.current.hmac is not set\n'
        : `signing-key: ${id} is no HS256 key of signing.keys\n`,
    );
    return 1;
  }
  io.stdout.write(`${backendKey(key.secret, options.backend).toString('base64url')}\n`);
  return 0;
}

function readOptions(
  argv: readonly string[],
): { config: string; backend: string; key: string | undefined; help: boolean } | string {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        config: { type: 'string' },
        backend: { type: 'string' },
        key: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (!values.help && !values.config) return '--config is missing';
    if (!values.help && !values.backend) return '--backend is missing';
    return { config: values.config ?? '', backend: values.backend ?? '', key: values.key, help: values.help };
  } catch (error) {
    return error instanceof Error ? error.message : 'wrong usage';
  }
}
