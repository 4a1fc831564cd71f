import { z } from 'zod';
import { configSchema } from '../config/schema.ts';
import { routePolicySchema } from '../policy/route-policy.ts';
import { type Io, processIo } from './io.ts';

const HELP = `envoy-mcp-identity schema route|config

Prints the JSON Schema of the mcp.identity metadata of a route, or of the
configuration file, for editors. With the YAML language server, write the schema
of the configuration to a file and put this on the first line of sidecar.yaml:

  # yaml-language-server: $schema=./sidecar.schema.json
`;

const DOCUMENTS = {
  route: { schema: routePolicySchema, title: 'Metadata `mcp.identity` of an Envoy route' },
  config: { schema: configSchema, title: 'Configuration of envoy-mcp-identity' },
} as const;

export type DocumentName = keyof typeof DOCUMENTS;

/** JSON Schema (2020-12) of what people write, so before defaults and transforms. */
export function jsonSchemaOf(name: DocumentName): Record<string, unknown> {
  const { schema: document, title } = DOCUMENTS[name];
  const { $schema, ...rest } = z.toJSONSchema(document, {
    io: 'input',
    unrepresentable: 'any',
    target: 'draft-2020-12',
  });
  return { $schema, $id: `urn:envoy-mcp-identity:schema:${name}`, title, ...rest };
}

export async function schema(argv: readonly string[], io: Io = processIo()): Promise<number> {
  const [name = '', ...more] = argv;
  if (name === '--help' || name === '-h') {
    io.stdout.write(HELP);
    return 0;
  }
  if (more.length > 0 || (name !== 'route' && name !== 'config')) {
    io.stderr.write(`schema: say which one: route or config\n\n${HELP}`);
    return 2;
  }
  io.stdout.write(`${JSON.stringify(jsonSchemaOf(name), null, 2)}\n`);
  return 0;
}
