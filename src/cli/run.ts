import { readFileSync } from 'node:fs';

type Command = (argv: readonly string[]) => Promise<number>;

/** Each command is loaded when it is asked for: `schema` needs no gRPC. */
const COMMANDS: Record<string, { summary: string; load: () => Promise<Command> }> = {
  serve: { summary: 'run the service', load: async () => (await import('./serve.ts')).serve },
  check: {
    summary: 'print every problem of a configuration and its Envoy',
    load: async () => (await import('./check.ts')).check,
  },
  explain: {
    summary: 'say what would become of a request, and why',
    load: async () => (await import('./explain.ts')).explain,
  },
  schema: {
    summary: 'print the JSON Schema of route metadata or of the config file',
    load: async () => (await import('./schema.ts')).schema,
  },
  grants: {
    summary: 'list or revoke what users have connected',
    load: async () => (await import('./grants.ts')).grants,
  },
  'signing-key': {
    summary: 'print the key with which a backend verifies HS256 assertions',
    load: async () => (await import('./signing-key.ts')).signingKey,
  },
};

/**
 * The program: argv → exit code. 0 done, 1 problems found, 2 wrong usage.
 * @param argv without the interpreter and the script
 */
export async function run(argv: readonly string[]): Promise<number> {
  const [name = '', ...rest] = argv;
  if (name === '--version' || name === '-v') {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    process.stdout.write(`${version}\n`);
    return 0;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command) return (await command.load())(rest);
  const asked = name === 'help' || name === '--help' || name === '-h';
  (asked ? process.stdout : process.stderr).write(
    `${asked || name === '' ? '' : `unknown command: ${name}\n\n`}${usage()}`,
  );
  return asked ? 0 : 2;
}

function usage(): string {
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(12)}${summary}`);
  return `envoy-mcp-identity <command> [options]\n\n${lines.join('\n')}\n\nenvoy-mcp-identity <command> --help tells more.\n`;
}
