import { keepNothing } from '../../src/core/keep.ts';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { CompactSign, exportJWK } from 'jose';
import { createMethods } from '../../src/authn/registry.ts';
import { incomingMethodSchema } from '../../src/authn/schema.ts';
import type { AuditRecord } from '../../src/core/ports.ts';
import { createSealer } from '../../src/core/seal.ts';
import { decodeStruct, type JsonObject } from '../../src/envoy/codec/struct.ts';
import { StructKeys } from '../../src/envoy/codec/struct-key.ts';
import { type Check, createCheck } from '../../src/envoy/ext-authz.ts';
import { createDecider } from '../../src/pipeline/decide.ts';
import { createFindRoute } from '../../src/pipeline/find-route.ts';
import { createSigners } from '../../src/propagation/signers.ts';
import { AwsSts } from '../../src/strategies/aws-sts.ts';
import { TokenExchanges } from '../../src/strategies/token-exchange.ts';
import { answering } from '../fuzz/answering.ts';
import { dpopParts, testTools } from '../unit/authn/support.ts';

const ISSUER = 'https://idp.example.com';
const RESOURCE = 'https://mcp.example.com/mcp';
export const NOW_MS = Date.UTC(2026, 0, 1);
export const API_KEY = 'the-key';
export const MAX_BODY = 1_000;

/** Policies of three routes. What they say is said again, in other words, by the model of decision.test.ts. */
export const POLICIES = {
  tools: {
    backend: 'tools',
    resource: RESOURCE,
    incomingAuth: ['corp'],
    scopes: ['read'],
    tools: { delete_repo: { deny: true }, 'admin_*': { scopes: ['admin'] } },
    outgoingAuth: { type: 'claim_injection', claimInjection: { claims: ['sub', 'email'] } },
  },
  open: {
    backend: 'open',
    resource: RESOURCE,
    incomingAuth: ['corp', 'ci', 'guest'],
    outgoingAuth: { type: 'unauthenticated' },
    identityPropagation: { mode: 'headers', attributes: ['id', 'auth_method'] },
    passthroughHeaders: ['X-Trace'],
  },
  proxied: {
    backend: 'proxied',
    incomingAuth: ['mesh', 'ci'],
    outgoingAuth: { type: 'header_injection', headerInjection: { headerName: 'X-Static', value: 'fixed' } },
    headerForward: { plaintext: { 'X-Api-Version': '2' } },
  },
} as const satisfies Record<string, JsonObject>;

const METHODS = {
  corp: { type: 'jwt', issuer: ISSUER, jwksUri: `${ISSUER}/jwks`, algorithms: ['ES256'] },
  ci: {
    type: 'api_key',
    keys: [{ id: 'bot', sha256: createHash('sha256').update(API_KEY).digest('hex'), subject: 'bot' }],
  },
  mesh: { type: 'trusted_proxy', trustedPeers: ['10.0.0.0/8', 'spiffe://corp/gateway'] },
  guest: { type: 'anonymous' },
} as const;

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });

/** A token of the issuer, or one that somebody else has signed in its name. */
export function token(claims: object, forged = false): Promise<string> {
  const all = { iss: ISSUER, sub: 'alice', aud: RESOURCE, exp: NOW_MS / 1_000 + 60, scope: 'read', ...claims };
  return new CompactSign(Buffer.from(JSON.stringify(all)))
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: 'k' })
    .sign(forged ? stranger.privateKey : privateKey);
}

export interface DecisionWorld {
  /** CheckRequest bytes in, CheckResponse bytes out: all of the service but its listeners. */
  readonly check: Check;
  /** Lines of the audit, in order. */
  readonly audit: AuditRecord[];
}

export async function decisionWorld(): Promise<DecisionWorld> {
  const tools = testTools(NOW_MS);
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'k' }] };
  const egress = answering(() => Response.json(jwks));
  const config = Object.fromEntries(
    Object.entries(METHODS).map(([name, method]) => [name, incomingMethodSchema.parse(method)]),
  );
  const structKeys = new StructKeys();
  const audit: AuditRecord[] = [];
  const headers: Readonly<Record<string, string[]>> = {
    corp: ['authorization'],
    ci: ['x-api-key'],
    mesh: ['x-authenticated-user'],
    guest: [],
  };
  const findRoute = createFindRoute({
    methods: createMethods(config, keepNothing(tools), egress, dpopParts(tools)),
    assertions: { signers: createSigners({ current: {}, keys: [] }), publicUrl: ISSUER, clock: tools.clock },
    strategies: {
      secrets: new Map(),
      refresher: undefined,
      exchanges: new TokenExchanges({}, tools, egress),
      aws: new AwsSts(undefined, tools, egress),
      tools,
    },
    tools,
    world: {
      methods: new Map(
        Object.entries(METHODS).map(([name, { type }]) => [
          name,
          { type, headers: headers[name] ?? [], ...(type === 'jwt' ? { issuer: ISSUER } : {}) },
        ]),
      ),
      providers: new Set(),
      exchanges: new Map(),
      secrets: new Set(),
      hasVaultKeys: false,
      loginIssuer: undefined,
      signing: { jws: false, hmac: false },
      hasSessionKeys: false,
    },
    decode: decodeStruct,
    keyOf: (metadata) => structKeys.keyOf(metadata),
    envoy: { proofOf: () => undefined },
    onPolicy: () => {},
  });
  const decide = createDecider({
    findRoute,
    allowedOrigins: new Set(['https://app.example.com']),
    maxBody: MAX_BODY,
    sessions: undefined,
    planSealer: createSealer([{ id: 'k', key: Buffer.alloc(32, 1) }], 'plan'),
    connectLink: () => '',
    audit: { broken: false, write: (record) => void audit.push(record) },
    tools,
  });
  return { check: createCheck(decide, 'mcp.identity', tools.log), audit };
}
