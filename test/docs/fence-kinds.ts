import assert from 'node:assert/strict';
import { parse, parseAllDocuments } from 'yaml';
import { configSchema } from '../../src/config/schema.ts';
import { routePolicySchema } from '../../src/policy/route-policy.ts';
import { checkMetricNames } from './known-names.ts';
import type { NamedTest } from './named-tests.ts';
import { checkShell } from './shell-samples.ts';

export interface Kind {
  /** Throws when the text is not what its kind says. */
  readonly check?: (text: string) => void;
  /** What checks it elsewhere; on these pages only. */
  readonly testedBy?: NamedTest & { readonly pages: readonly string[] };
  /** Why there is nothing more to check. */
  readonly because?: string;
}

const tutorial = {
  testedBy: { file: 'docs/tutorial.test.ts', name: 'docs/tutorial.md can be followed', pages: ['docs/tutorial.md'] },
};
const verifiers = {
  testedBy: {
    file: 'e2e/assertion-verifiers.test.ts',
    name: 'assertions, verified by the examples of the documentation',
    pages: ['docs/recipes/assertions.md'],
  },
};

/** By the language and the word behind it. Blocks of any other kind are an error: say here how they are checked. */
export const KINDS: Readonly<Record<string, Kind>> = {
  'yaml route': { check: (text) => valid(routePolicySchema, { ...LEAST_POLICY, ...parse(text) }) },
  'yaml sidecar': { check: (text) => valid(configSchema, { publicUrl: 'https://mcp.example.com', ...parse(text) }) },
  'yaml envoy': { because: 'samples.test.ts hands the routes to Envoy itself', check: checkPolicies },
  'yaml envoy-tracing': {
    testedBy: {
      file: 'e2e/traces.test.ts',
      name: 'Envoy traces: its span is the parent, not what the client says; the last spans are sent on SIGTERM',
      pages: ['docs/operations/observability.md'],
    },
  },
  yaml: { because: 'files of other programs; policies in them are ours', check: checkPolicies },
  json: { check: (text) => void JSON.parse(text) },
  sh: { check: checkShell },
  promql: { because: 'names and labels are checked; Prometheus is no dependency', check: checkMetricNames },
  ini: { because: 'settings of other programs', check: (text) => lines(text, /^(?:\[.+\]|[\w.-]+ *=.*|[#;].*|)$/) },
  env: { because: 'variables of other programs', check: (text) => lines(text, /^(?:[A-Z][A-Z0-9_]*=.*|#.*|)$/) },
  text: { because: 'a drawing, or what somebody will see' },
  js: { because: 'samples.test.ts has Node read it' },
  'js jws': verifiers,
  'js hmac': verifiers,
  'python jws': verifiers,
  'python hmac': verifiers,
  'go jws': verifiers,
  'go hmac': verifiers,
  console: tutorial,
  'sh background': tutorial,
  'yaml file': tutorial,
};

const LEAST_POLICY = { backend: 'b', incomingAuth: ['corp'], outgoingAuth: { type: 'unauthenticated' } };

interface Schema {
  safeParse(value: unknown): { success: boolean; error?: { message: string } | undefined };
}

function valid(schema: Schema, value: unknown): void {
  const { success, error } = schema.safeParse(value);
  assert.ok(success, error?.message);
}

/** YAML that may hold route policies of ours, which have to be right wherever they stand. */
function checkPolicies(text: string): void {
  const documents = parseAllDocuments(text);
  for (const document of documents) {
    assert.deepEqual(document.errors, []);
    const value: unknown = document.toJS();
    const isOurs = typeof value === 'object' && value !== null && 'publicUrl' in value;
    assert.ok(!isOurs, 'this looks like our config file: say "yaml sidecar"');
    for (const policy of policiesIn(value)) valid(routePolicySchema, policy);
  }
}

function* policiesIn(value: unknown): Iterable<unknown> {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    if (key === 'mcp.identity') yield inner;
    else yield* policiesIn(inner);
  }
}

function lines(text: string, shape: RegExp): void {
  for (const line of text.trimEnd().split('\n')) assert.match(line, shape);
}
