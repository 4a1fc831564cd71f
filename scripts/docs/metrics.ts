import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { table } from './table.ts';

export interface MetricNote {
  readonly labels: readonly string[];
  /** What it is good for. */
  readonly use: string;
}

/** What the source cannot say of its metrics, for docs/reference/metrics.md. */
export const METRIC_NOTES: Readonly<Record<string, MetricNote>> = {
  mcp_identity_decisions_total: {
    labels: ['backend', 'strategy', 'outcome', 'reason'],
    use: '`outcome` is `allow`, `deny` or `error`; `reason` as in [refusals](refusals.md). Alert on `error`.',
  },
  mcp_identity_check_duration_seconds: { labels: [], use: 'Envoy waits this long; outgoing calls included.' },
  mcp_identity_responses_total: {
    labels: ['backend', 'strategy', 'outcome', 'reason'],
    use: 'What became of allowed requests on routes with ext_proc, such as `backend_unauthorized`.',
  },
  mcp_identity_config_reloads_total: {
    labels: ['outcome'],
    use: '`applied`, `unchanged`, `rejected`; see [operations](../operations/changing-configuration.md).',
  },
  mcp_identity_config_last_reload_success_timestamp_seconds: { labels: [], use: 'The start counts too.' },
  mcp_identity_config_stale: { labels: [], use: 'Alert on 1: the service would not start with the files as they are.' },
  mcp_identity_config_generation: { labels: [], use: 'Grows by one with each configuration that is taken.' },
  mcp_identity_config_former_generations: { labels: [], use: 'Above 0 while calls of an earlier configuration go on.' },
  mcp_identity_policies: { labels: [], use: 'Grows with each change of a route that is in use.' },
  mcp_identity_invalid_policies_total: { labels: [], use: 'Alert on any increase: a live route is refused with 500.' },
  mcp_identity_envoy_problems: {
    labels: ['severity'],
    use: 'With `envoy.admin`: alert on `severity="error"` above 0.',
  },
  mcp_identity_envoy_admin_up: { labels: [], use: 'With `envoy.admin`: 0 means that changes of routes are not seen.' },
  mcp_identity_ext_proc_streams: { labels: [], use: 'One per request under way on routes with ext_proc.' },
  mcp_identity_token_cache_hits_total: { labels: ['method'], use: 'A low share of hits costs CPU.' },
  mcp_identity_token_cache_reread_total: {
    labels: ['method'],
    use: 'Forgotten tokens read again, their signature known to be right. Many: more tokens are live than fit.',
  },
  mcp_identity_token_cache_misses_total: { labels: ['method'], use: 'One per new token, and one per wrong one.' },
  mcp_identity_token_cache_entries: { labels: [], use: 'About the number of active tokens.' },
  mcp_identity_token_cache_bytes: { labels: [], use: 'Bounded; the least recently used go first.' },
  mcp_identity_introspection_cache_bytes: { labels: ['method'], use: 'Bounded as well.' },
  mcp_identity_introspection_cache_entries: { labels: ['method'], use: 'Bounded.' },
  mcp_identity_jwks_fetches_total: {
    labels: ['method', 'outcome'],
    use: '`failed`: the issuer does not answer; known keys go on being used.',
  },
  mcp_identity_api_key_uses_total: { labels: ['method', 'key'], use: 'Which keys are still in use, by their `id`.' },
  mcp_identity_password_checks_total: {
    labels: ['method', 'outcome'],
    use: '`right`, `wrong`, `throttled`, `overloaded`. A rise of the last three is an attack, or a broken client.',
  },
  mcp_identity_password_checks_waiting: {
    labels: ['method'],
    use: 'Hashes are slow on purpose; they wait for a thread.',
  },
  mcp_identity_egress_requests_total: {
    labels: ['purpose', 'outcome'],
    use: '`purpose` is what the call was for (`jwks`, `introspection`, `upstream_refresh` …), `outcome` is `ok` or why not.',
  },
  mcp_identity_egress_seconds: { labels: ['purpose'], use: 'How fast others answer.' },
  mcp_identity_egress_running: { labels: [], use: 'There is a cap per destination.' },
  mcp_identity_egress_waiting: { labels: [], use: 'Above 0 for long: a destination is too slow.' },
  mcp_identity_upstream_refreshes_total: {
    labels: ['provider', 'outcome'],
    use: 'Refreshes of users’ tokens and what came of them; failures name their kind.',
  },
  mcp_identity_upstream_refresh_seconds: { labels: ['provider'], use: 'Most happen before anybody waits for them.' },
  mcp_identity_upstream_lease_wait_seconds: {
    labels: ['provider'],
    use: 'Time that a replica waited for another one that was refreshing the same grant.',
  },
  mcp_identity_upstream_grants: {
    labels: ['provider', 'state'],
    use: '`usable`; `reconnect`: over, or no longer fitting the configuration, and only its user can help; `unreadable`: alert on any, a vault key is missing or was changed; `unused` with `provider="unconfigured"`. Counted in the background at 500 a second, and then once a minute; every replica counts the same vault: take the `max`.',
  },
  mcp_identity_upstream_cache_hits_total: { labels: [], use: 'Each may still be looked at anew, every few seconds.' },
  mcp_identity_upstream_cache_misses_total: { labels: [], use: 'One per user and provider a minute is usual.' },
  mcp_identity_upstream_cached_grants: { labels: [], use: 'Opened grants are kept for a short time.' },
  mcp_identity_upstream_cached_bytes: { labels: [], use: 'Bounded.' },
  mcp_identity_vault_duration_seconds: { labels: ['operation'], use: 'How fast the store of the vault is.' },
  mcp_identity_vault_errors_total: {
    labels: ['operation', 'code'],
    use: 'Alert on any increase; `/readyz` is 503 while the vault does not answer.',
  },
  mcp_identity_credential_cache_hits_total: { labels: ['kind'], use: '`kind` is `token_exchange` or `aws_sts`.' },
  mcp_identity_credential_cache_misses_total: {
    labels: ['kind'],
    use: 'Each is a call of the token endpoint or of STS.',
  },
  mcp_identity_credential_cache_entries: { labels: ['kind'], use: 'About one per active user and route.' },
  mcp_identity_credential_cache_bytes: { labels: ['kind'], use: 'Bounded.' },
  mcp_identity_token_exchanges_total: {
    labels: ['name', 'outcome'],
    use: '`name` is the entry of `tokenExchanges`; every `outcome` but `issued` says what is wrong.',
  },
  mcp_identity_aws_sts_calls_total: {
    labels: ['name', 'outcome'],
    use: 'The same for AWS STS; `name` is `sts`, and the good outcome `assumed`.',
  },
  mcp_identity_connect_steps_total: {
    labels: ['event', 'outcome', 'reason'],
    use: 'What people do on the connect pages, and where they get stuck; reasons as in [refusals](refusals.md).',
  },
  mcp_identity_cache_evictions_total: {
    labels: ['cache'],
    use: '`verified_tokens`, `introspection`, `token_exchange`, `aws_sts`, `open_grants`. Steady evictions: more users are active than the cache holds.',
  },
  mcp_identity_trace_spans_total: {
    labels: ['outcome'],
    use: 'With [traces](../operations/observability.md#traces): `exported`, `failed` (the collector did not take them), `dropped` (the queue was full).',
  },
  mcp_identity_build_info: {
    labels: ['version', 'node'],
    use: 'Lay it beside the others to see what a release changed.',
  },
};

export interface MetricInSource {
  readonly name: string;
  readonly help: string;
}

/**
 * Every metric that the source registers.
 * @throws when a name stands in the source in a way that this does not understand
 */
export function metricsInSource(folder: string): MetricInSource[] {
  const found = new Map<string, MetricInSource>();
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    // What helps people may name metrics and registers none.
    if (!file.endsWith('.ts') || file === join('explain', 'refusal-help.ts')) continue;
    const text = readFileSync(join(folder, file), 'utf8');
    const named = text.match(/['"`]mcp_identity_/g) ?? [];
    const understood = [...text.matchAll(/'(mcp_identity_\w+)',\s*'([^'\n]+)'/g)];
    if (named.length !== understood.length) throw new Error(`src/${file}: a metric stands there without name and help`);
    for (const [, name = '', help = ''] of understood) found.set(name, { name, help });
  }
  return [...found.values()];
}

/** By the naming rules of Prometheus, which the metrics keep. */
export function kindOfMetric(name: string): 'counter' | 'histogram' | 'gauge' {
  if (name.endsWith('_total')) return 'counter';
  // A point in time is one value, a length of time is a distribution.
  return name.endsWith('_seconds') && !name.endsWith('_timestamp_seconds') ? 'histogram' : 'gauge';
}

/** @throws when a metric has no note, or a note no metric */
export function metricTable(
  metrics: readonly MetricInSource[],
  notes: Readonly<Record<string, MetricNote>> = METRIC_NOTES,
): string {
  const known = new Set(metrics.map(({ name }) => name));
  const stale = Object.keys(notes).filter((name) => !known.has(name));
  const missing = [...known].filter((name) => !Object.hasOwn(notes, name));
  if (stale.length + missing.length > 0)
    throw new Error(`METRIC_NOTES: missing ${missing.join(', ') || 'none'}; out of date ${stale.join(', ') || 'none'}`);
  const byName = new Map(metrics.map((metric) => [metric.name, metric]));
  const rows = Object.entries(notes).map(([name, { labels, use }]) => [
    `\`${name}\``,
    kindOfMetric(name),
    labels.map((label) => `\`${label}\``).join(', '),
    `${byName.get(name)?.help}. ${use}`,
  ]);
  return table(['metric', 'kind', 'labels', 'meaning'], rows);
}
