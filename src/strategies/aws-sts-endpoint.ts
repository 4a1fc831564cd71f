import type { Tools } from '../core/ports.ts';
import { urlFault } from '../core/scalars.ts';
import { Secret } from '../core/secret.ts';
import type { Egress, EgressFetch } from '../net/egress.ts';
import { EgressError } from '../net/egress-error.ts';
import { failureOfStatus } from '../upstream/provider-failure.ts';
import { readXml, textAt, type XmlElement } from './aws-xml.ts';

/** Temporary credentials of an assumed role. */
export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: Secret;
  readonly sessionToken: Secret;
}

export interface AssumeRole {
  readonly region: string;
  readonly roleArn: string;
  readonly sessionName: string;
  readonly durationSeconds: number;
  readonly token: Secret;
}

export type AssumeOutcome =
  | { readonly kind: 'assumed'; readonly credentials: AwsCredentials; readonly expiresAtMs: number }
  /** STS has said no. */
  | { readonly kind: 'rejected'; readonly code: StsCode }
  | { readonly kind: 'unavailable'; readonly fault: string; readonly retryAfterSeconds?: number }
  /** An answer that is none. */
  | { readonly kind: 'malformed' };

/** Codes of errors that are told on (STS API, AssumeRoleWithWebIdentity and common errors); others are `other`. */
const CODES = [
  'AccessDenied',
  'ExpiredTokenException',
  'IDPRejectedClaim',
  'InvalidIdentityToken',
  'MalformedPolicyDocument',
  'PackedPolicyTooLarge',
  'RegionDisabledException',
  'ValidationError',
] as const;
export type StsCode = (typeof CODES)[number] | 'other';

/** Errors with a status below 500 that say nothing about the caller. */
const PASSING = new Set([
  'IDPCommunicationError',
  'Throttling',
  'ThrottlingException',
  'RequestLimitExceeded',
  'ServiceUnavailable',
  'InternalFailure',
]);

/** Suffixes of partitions other than the commercial one, by the start of their regions' names. */
const SUFFIXES: readonly (readonly [prefix: string, suffix: string])[] = [
  ['cn-', 'amazonaws.com.cn'],
  ['eusc-', 'amazonaws.eu'],
  ['us-iso-', 'c2s.ic.gov'],
  ['us-isob-', 'sc2s.sgov.gov'],
  ['us-isof-', 'csp.hci.ic.gov'],
  ['eu-isoe-', 'cloud.adc-e.uk'],
];

/** AWS STS over its Query API: the call carries no signature, the token of the user is the credential. */
export class StsEndpoint {
  readonly #override: string | undefined;
  readonly #fetch: EgressFetch;
  readonly #clock: Tools['clock'];

  /**
   * @param override in place of the regional endpoints
   * @throws when it is no https URL, or http on a loopback address
   */
  constructor(override: string | undefined, { clock }: Pick<Tools, 'clock'>, egress: Egress) {
    const fault = override === undefined ? undefined : urlFault(override);
    if (fault !== undefined) throw new Error(`the endpoint of AWS STS ${fault}`);
    this.#override = override;
    this.#fetch = egress.for('aws_sts');
    this.#clock = clock;
  }

  async assume(role: AssumeRole, signal: AbortSignal): Promise<AssumeOutcome> {
    const url = this.#override ?? regionalEndpoint(role.region);
    const body = new URLSearchParams({
      Action: 'AssumeRoleWithWebIdentity',
      Version: '2011-06-15',
      RoleArn: role.roleArn,
      RoleSessionName: role.sessionName,
      DurationSeconds: String(role.durationSeconds),
      WebIdentityToken: role.token.reveal(),
    });
    let response: Response;
    let text: string;
    try {
      const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/xml, text/xml' };
      response = await this.#fetch(url, { method: 'POST', headers, body, signal });
      text = await response.text();
    } catch (error) {
      return { kind: 'unavailable', fault: error instanceof EgressError ? error.code : 'network' };
    }
    const failure = failureOfStatus(response, this.#clock.nowMs());
    if (failure) {
      const { fault, retryAfterSeconds } = failure;
      return { kind: 'unavailable', fault, ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) };
    }
    const root = readXml(text);
    if (!root) return { kind: 'malformed' };
    return response.status === 200 ? assumed(root) : rejected(root);
  }
}

/** The regional endpoint: tokens of the global one are not accepted in every region. */
export function regionalEndpoint(region: string): string {
  const suffix = SUFFIXES.find(([prefix]) => region.startsWith(prefix))?.[1] ?? 'amazonaws.com';
  return `https://sts.${region}.${suffix}/`;
}

/** RFC 3339 with seconds, as STS writes `Expiration`; dates of another form could be read in a local time zone. */
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
/** They stand in headers of the request, the key id inside `Credential=…/…`. */
const KEY_ID = /^\w{16,128}$/;
const SESSION_TOKEN = /^[\x21-\x7e]{1,16384}$/;

function assumed(root: XmlElement): AssumeOutcome {
  if (root.name !== 'AssumeRoleWithWebIdentityResponse') return { kind: 'malformed' };
  const field = (name: string) => textAt(root, 'AssumeRoleWithWebIdentityResult', 'Credentials', name)?.trim() ?? '';
  const [accessKeyId, secretAccessKey, sessionToken, expiration] = [
    'AccessKeyId',
    'SecretAccessKey',
    'SessionToken',
    'Expiration',
  ].map(field) as [string, string, string, string];
  const expiresAtMs = INSTANT.test(expiration) ? Date.parse(expiration) : Number.NaN;
  if (
    !KEY_ID.test(accessKeyId) ||
    secretAccessKey === '' ||
    !SESSION_TOKEN.test(sessionToken) ||
    Number.isNaN(expiresAtMs)
  )
    return { kind: 'malformed' };
  const credentials = {
    accessKeyId,
    secretAccessKey: new Secret(secretAccessKey),
    sessionToken: new Secret(sessionToken),
  };
  return { kind: 'assumed', credentials, expiresAtMs };
}

function rejected(root: XmlElement): AssumeOutcome {
  const code = root.name === 'ErrorResponse' ? textAt(root, 'Error', 'Code')?.trim() : undefined;
  if (code === undefined) return { kind: 'malformed' };
  if (PASSING.has(code)) return { kind: 'unavailable', fault: code };
  return { kind: 'rejected', code: CODES.find((known) => known === code) ?? 'other' };
}
