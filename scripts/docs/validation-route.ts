import type { CodeEntry } from './validation-codes.ts';

const UPSTREAM = 'outgoingAuth: { type: upstream_inject, upstreamInject: { providerName: github } }';

/** Codes of route policies, alone and together with the config file. */
export const ROUTE_CODES: Readonly<Record<string, CodeEntry>> = {
  'V-01': {
    title: 'Tokens of an upstream provider are used, and nothing could fetch or keep them',
    why: '`upstreamProviders` says where tokens come from, `vault.keys` seals them, and `connect.login` is how the service knows who connects an account.',
    examples: [
      {
        around: { 'mcp.identity': UPSTREAM },
        bad: { 'config file': 'vault: { store: memory }' },
        good: { 'config file': 'vault: { store: "sqlite:./vault.db", keys: [{ id: k1, key: { env: AES_KEY } }] }' },
      },
    ],
  },
  'V-02': {
    title: 'A provider that is not defined',
    why: 'The name must be an entry of `upstreamProviders`.',
    examples: [
      {
        bad: { 'mcp.identity': 'outgoingAuth: { type: upstream_inject, upstreamInject: { providerName: gihtub } }' },
        good: { 'mcp.identity': UPSTREAM },
      },
    ],
  },
  'V-03': {
    title: 'An exchange that changes nothing',
    why: 'A token is exchanged at the issuer it comes from, and nothing says for whom the new one is. Some providers give the same token back.',
    examples: [
      {
        bad: { 'mcp.identity': 'outgoingAuth: { type: token_exchange, tokenExchange: { exchange: hr } }' },
        good: {
          'mcp.identity': 'outgoingAuth: { type: token_exchange, tokenExchange: { exchange: hr, audience: hr-api } }',
        },
      },
    ],
  },
  'V-04': {
    title: 'Routes of one resource accept different issuers',
    why: 'The metadata document of the resource lists all of them, so clients would fetch tokens that some of the routes refuse.',
    examples: [
      {
        bad: {
          'mcp.identity': 'resource: https://mcp.example.com/wiki/mcp # that of another route\nincomingAuth: [partner]',
        },
        good: { 'mcp.identity': 'resource: https://mcp.example.com/crm/mcp\nincomingAuth: [partner]' },
      },
    ],
  },
  'V-06': {
    title: 'No provider is named',
    why: '`providerName` is missing or empty, or `subjectProviderName` is empty: which account of the user is meant?',
    examples: [
      {
        bad: { 'mcp.identity': 'outgoingAuth: { type: upstream_inject }' },
        good: { 'mcp.identity': UPSTREAM },
      },
    ],
  },
  'V-07': {
    title: 'Tokens are accepted, and for which server they must be made is not said',
    why: 'Without `resource`, a token for another server would have to do (RFC 8707), and clients could not find out where to sign in (RFC 9728).',
    examples: [
      {
        hidden: { 'mcp.identity': 'resource: null' },
        bad: { 'mcp.identity': 'backend: crm\nincomingAuth: [corp]' },
        good: {
          'mcp.identity':
            'backend: crm\nresource: https://mcp.example.com/crm/mcp # exactly the URL clients use\nincomingAuth: [corp]',
        },
      },
    ],
  },
  'V-10': {
    title: 'A header that may not be passed through',
    why: 'Credentials, framing, what proxies and Envoy say, and MCP’s own headers; names that are none; names twice. The whole list is in [route](route.md#passthroughheaders).',
    examples: [
      {
        bad: { 'mcp.identity': 'passthroughHeaders: [X-Trace-Id, Cookie]' },
        good: { 'mcp.identity': 'passthroughHeaders: [X-Trace-Id]' },
      },
    ],
  },
  'V-11': {
    title: 'Two want the same header',
    why: 'A client could set what the route writes, or two parts of the policy write the same header, of which one value could arrive. Headers of the connection cannot be written at all.',
    examples: [
      {
        bad: {
          'mcp.identity':
            'passthroughHeaders: [X-Tenant]\noutgoingAuth: { type: claim_injection, claimInjection: { claims: { tenant: X-Tenant } } }',
        },
        good: {
          'mcp.identity': 'outgoingAuth: { type: claim_injection, claimInjection: { claims: { tenant: X-Tenant } } }',
        },
      },
    ],
  },
  'V-12': {
    title: 'A name that is not defined',
    why: 'A method, exchange, secret or signing key that the config file does not have.',
    examples: [
      {
        bad: { 'mcp.identity': 'incomingAuth: [corp, robots]' },
        good: { 'mcp.identity': 'incomingAuth: [corp, bot]' },
      },
    ],
  },
  'V-13': {
    title: 'A secret, or an endpoint, in route metadata',
    why: 'Envoy shows its configuration to anyone on its admin port, and where tokens are sent is decided by the config file alone.',
    examples: [
      {
        bad: { 'mcp.identity': 'headerForward: { plaintext: { X-Api-Key: 3f9c2a } }' },
        good: { 'mcp.identity': 'headerForward: { secrets: { X-Api-Key: crm-key } }' },
      },
    ],
  },
  'V-14': {
    title: 'A key of `_meta` that is not free',
    why: 'MCP keeps some names for itself, such as `progressToken` and prefixes like `io.modelcontextprotocol/`; others are no keys.',
    examples: [
      {
        bad: { 'mcp.identity': 'identityPropagation: { mode: meta, metaKey: io.modelcontextprotocol/user }' },
        good: { 'mcp.identity': 'identityPropagation: { mode: meta, metaKey: com.example/user }' },
      },
    ],
  },
  'V-15': {
    title: 'A session that cannot be sealed, or is not bound',
    why: 'What is remembered in a session must belong to its user (`bind: true`) and be sealed (`session.keys`).',
    examples: [
      {
        bad: { 'mcp.identity': 'session: { passthroughCapture: session }' },
        good: { 'mcp.identity': 'session: { bind: true, passthroughCapture: session }' },
      },
    ],
  },
  'V-26': {
    title: 'A strategy needs the token of the caller, who may come without one',
    why: '`token_exchange` and `aws_sts` start from the token that came in. An error when no method of the route carries one, a warning when some do not: those callers are answered 401.',
    examples: [
      {
        bad: {
          'mcp.identity':
            'incomingAuth: [bot]\noutgoingAuth: { type: token_exchange, tokenExchange: { exchange: hr, audience: hr-api } }',
        },
        good: {
          'mcp.identity':
            'incomingAuth: [corp]\noutgoingAuth: { type: token_exchange, tokenExchange: { exchange: hr, audience: hr-api } }',
        },
      },
    ],
  },
  'V-27': {
    title: 'Callers who could never connect an account',
    why: 'The connect pages sign people in at `connect.login`. Who calls by a method of another issuer, or is named by another `subjectClaim`, is somebody else to the service. Two claims that are both written down may hold the same value (Okta): then it is a warning.',
    examples: [
      {
        bad: { 'mcp.identity': `incomingAuth: [partner]\n${UPSTREAM}` },
        good: { 'mcp.identity': `incomingAuth: [corp] # its issuer is that of connect.login\n${UPSTREAM}` },
      },
    ],
  },
};
