import { parseArgs } from 'node:util';
import type { ListFilter } from '../upstream/vault/vault.ts';

export const GRANTS_HELP = `envoy-mcp-identity grants list --config sidecar.yaml [filters] [--json]
envoy-mcp-identity grants revoke --config sidecar.yaml (filters | --record R…) [--local] [--json]

Shows which accounts users have connected, and ends them. Never prints a token.

  --config FILE    the configuration file
  --provider NAME  accounts at that provider
  --issuer URL     accounts of users of that issuer
  --subject ID     accounts of that user; together with --issuer
  --record R       the record of that name, as \`list\` shows it; may be repeated. The only way
                   to remove one that does not open (its key is gone, or it is damaged)
  --local          revoke: delete without telling the provider, whose tokens stay good there
  --json           one JSON object per line

\`revoke\` tells the provider, where it has an endpoint for that, then deletes; a running
service notices within five seconds. It ends with 0 when everything that was found is gone,
1 when nothing was found or something could not be done, 2 on wrong usage.
`;

export interface GrantsOptions {
  readonly action: 'list' | 'revoke';
  readonly config: string;
  readonly filter: ListFilter;
  /** Names of records; then the filter is empty. */
  readonly records: readonly string[];
  readonly local: boolean;
  readonly json: boolean;
}

/** @returns a text about what is wrong with them, or `help` */
export function readGrantsOptions(argv: readonly string[]): GrantsOptions | 'help' | { readonly wrong: string } {
  const wrong = (what: string) => ({ wrong: what });
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        config: { type: 'string' },
        provider: { type: 'string' },
        issuer: { type: 'string' },
        subject: { type: 'string' },
        record: { type: 'string', multiple: true, default: [] },
        local: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) return 'help';
    const [action, ...more] = positionals;
    if ((action !== 'list' && action !== 'revoke') || more.length > 0) return wrong('say what to do: list or revoke');
    const { config, provider, issuer, subject, record: records, local, json } = values;
    if (!config) return wrong('--config is missing');
    const filter = {
      ...(provider !== undefined && { provider }),
      ...(issuer !== undefined && { issuer }),
      ...(subject !== undefined && { subject }),
    };
    if (Object.values(filter).includes('')) return wrong('a filter must not be empty');
    if (subject !== undefined && issuer === undefined) return wrong('--subject needs --issuer: only both name a user');
    const filtered = Object.keys(filter).length > 0;
    if (records.length > 0 && (filtered || action === 'list')) return wrong('--record is for revoke, without filters');
    if (action === 'revoke' && records.length === 0 && !filtered) return wrong('say which: a filter or --record');
    if (action === 'list' && local) return wrong('--local is for revoke');
    return { action, config, filter, records, local, json };
  } catch (error) {
    return wrong(error instanceof Error ? error.message : 'wrong usage');
  }
}
