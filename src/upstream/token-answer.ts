import { Secret } from '../core/secret.ts';

/** What a provider gave, after all its oddities. */
export interface TokenAnswer {
  readonly accessToken: Secret;
  readonly refreshToken?: Secret;
  /** Undefined where the answer left it out. */
  readonly scopes?: readonly string[];
  /** Undefined where the provider did not say, or said something that is no time. */
  readonly expiresInSeconds?: number;
}

/** Anything longer could not travel in a header anyway. */
const MAX_TOKEN_LENGTH = 32 * 1024;
/** Ten years, in seconds: whoever says more means "for good", and a date must stay a date. */
const MAX_LIFETIME = 10 * 365 * 86_400;

/**
 * Makes what token endpoints really answer into what RFC 6749 5.1 and 5.2 ask for, before oauth4webapi judges it:
 * form-encoded bodies, errors with status 200 (GitHub's classic endpoint does both), a missing or oddly spelled `token_type`,
 * Slack's answers (see `ofUser`), `expires_in` as text, zero or negative (zero is some providers' "never": then unknown), null for "nothing", scopes as
 * a list or between commas. Challenges are dropped, so that the error in the body is what counts; and the ID token,
 * which nothing here relies on.
 * @param requestedScopes tells whether a comma may be part of a scope (RFC 6749 3.3 allows it)
 */
export async function normalTokenAnswer(response: Response, requestedScopes: readonly string[]): Promise<Response> {
  const parsed = membersOf(await response.text());
  const members = parsed && ofUser(parsed);
  const headers = { 'content-type': 'application/json' };
  // RFC 6749 5.2: what 401 stands for, where the body does not say.
  const silent = response.status === 401 ? '{"error":"invalid_client"}' : '{}';
  if (!members) return new Response(silent, { status: response.ok ? 200 : response.status, headers });
  const { error } = members;
  if (typeof error === 'string' && error !== '' && typeof members['access_token'] !== 'string') {
    const status = response.status >= 400 ? response.status : 400;
    const word = isDeadAtAtlassian(members) ? 'invalid_grant' : (SPELLINGS.get(error) ?? error);
    return new Response(JSON.stringify({ error: word }), { status, headers });
  }
  if (!response.ok) return new Response(silent, { status: response.status, headers });
  const { access_token, refresh_token, token_type, expires_in, scope } = members;
  const lifetime = lifetimeOf(expires_in);
  return Response.json({
    access_token,
    token_type: typeof token_type === 'string' && token_type !== '' ? token_type : 'bearer',
    ...(typeof refresh_token === 'string' && refresh_token !== '' ? { refresh_token } : {}),
    ...(lifetime === undefined ? {} : { expires_in: lifetime }),
    ...(scope === undefined || scope === null ? {} : { scope: scopeText(scope, requestedScopes) }),
  });
}

/** GitHub's and Slack's own words for what RFC 6749 5.2 calls otherwise. */
const SPELLINGS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    bad_refresh_token: 'invalid_grant',
    bad_verification_code: 'invalid_grant',
    incorrect_client_credentials: 'invalid_client',
    code_already_used: 'invalid_grant',
    code_expired: 'invalid_grant',
    invalid_code: 'invalid_grant',
    invalid_refresh_token: 'invalid_grant',
    bad_client_secret: 'invalid_client',
    invalid_client_id: 'invalid_client',
    fatal_error: 'server_error',
    internal_error: 'server_error',
    ratelimited: 'temporarily_unavailable',
    service_unavailable: 'temporarily_unavailable',
  }),
);

/**
 * Atlassian says it in the words of another error. About our client the same word comes with another description: then
 * nobody's grant has ended.
 */
function isDeadAtAtlassian({ error, error_description: text }: Record<string, unknown>): boolean {
  return error === 'unauthorized_client' && text === 'refresh_token is invalid';
}

/**
 * Slack's answers say `ok`. `oauth.v2.access` has the user's own token in `authed_user`, beside that of the app's bot, and
 * calls its type `user`. A bot's token stands for the app and not for the user: its type stays, and is refused for it.
 */
function ofUser(members: Record<string, unknown>): Record<string, unknown> {
  if (members['ok'] !== true) return members;
  const { authed_user: user } = members;
  const nested = typeof user === 'object' && user !== null && 'access_token' in user;
  const own = nested ? (user as Record<string, unknown>) : members;
  return own['token_type'] === 'user' ? { ...own, token_type: 'bearer' } : own;
}

/**
 * What oauth4webapi has let through, as we keep it.
 * @returns undefined when it is no bearer token, or one that nobody could send
 */
export function tokenAnswerOf(answer: {
  readonly access_token: string;
  readonly token_type: string;
  readonly refresh_token?: string;
  readonly scope?: string;
  readonly expires_in?: number;
}): TokenAnswer | undefined {
  const { access_token, refresh_token, scope, expires_in } = answer;
  if (answer.token_type.toLowerCase() !== 'bearer') return undefined;
  if (access_token.length > MAX_TOKEN_LENGTH || (refresh_token?.length ?? 0) > MAX_TOKEN_LENGTH) return undefined;
  return {
    accessToken: new Secret(access_token),
    ...(refresh_token !== undefined && { refreshToken: new Secret(refresh_token) }),
    ...(scope !== undefined && { scopes: scope.split(' ').filter((one) => one !== '') }),
    ...(expires_in !== undefined && { expiresInSeconds: expires_in }),
  };
}

function membersOf(text: string): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : undefined;
  } catch {
    const form = new URLSearchParams(text);
    return form.has('access_token') || form.has('error') ? Object.fromEntries(form) : undefined;
  }
}

function lifetimeOf(value: unknown): number | undefined {
  const seconds = typeof value === 'string' && /^\s*\d+(\.\d+)?\s*$/.test(value) ? Number(value) : value;
  return typeof seconds === 'number' && seconds > 0 ? Math.min(seconds, MAX_LIFETIME) : undefined;
}

function scopeText(scope: unknown, requestedScopes: readonly string[]): string {
  const items = (Array.isArray(scope) ? scope : [scope]).filter((one): one is string => typeof one === 'string');
  const text = items.join(' ');
  const betweenCommas = !text.includes(' ') && !requestedScopes.some((one) => one.includes(','));
  return text
    .split(betweenCommas ? ',' : /\s+/)
    .filter((one) => one !== '')
    .join(' ');
}
