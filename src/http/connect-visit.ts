import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { Browser } from '../upstream/connect-browser.ts';
import type { UserKey } from '../upstream/connect-state.ts';
import type { Person } from '../upstream/login.ts';
import type { ConnectCookies } from './connect-cookies.ts';
import type { Page } from './connect-layout.ts';

/** One request to the connect pages: what is asked, by whom, from which browser. */
export interface Visit {
  readonly query: URLSearchParams;
  /** Empty unless it is a POST. */
  readonly form: URLSearchParams;
  /** Undefined when no cookie of ours came along. */
  readonly known: Browser | undefined;
  /** The known one, or a new one that the answer's cookie makes known. */
  readonly browser: Browser;
  readonly person: Person | undefined;
  /** Address of the client, where it is known. */
  readonly peer: string | undefined;
  readonly signal: AbortSignal;
}

/** One line of the audit, but for what the request adds. `detail` is a word of ours, never a value from outside. */
export interface Told {
  readonly event: 'connect' | 'disconnect' | 'sign_in' | 'sign_out';
  readonly outcome: 'allow' | 'deny' | 'error';
  readonly reason: string;
  readonly user?: UserKey | undefined;
  readonly provider?: string | undefined;
  readonly detail?: string | undefined;
}

/** The answer to a request. */
export interface Reply {
  readonly status: number;
  readonly show: Page | { readonly location: string };
  /** Values of Set-Cookie, beside the one that makes the browser known. */
  readonly cookies: readonly string[];
  readonly told: readonly Told[];
  readonly headers?: Readonly<Record<string, string>>;
}

export function openVisit(
  request: IncomingMessage,
  cookies: ConnectCookies,
  query: URLSearchParams,
  form: URLSearchParams,
  signal: AbortSignal,
): Visit {
  const known = cookies.browser(request);
  const person = known && cookies.person(request, known);
  return { query, form, known, browser: known ?? new Browser(), person, peer: peerOf(request), signal };
}

/**
 * With `use_remote_address` Envoy says who the client is, past as many load balancers as `xff_num_trusted_hops` counts.
 * Of clients with an address that it calls internal it does not, and lets what they say pass; but it appends who has
 * connected to what stands before in `x-forwarded-for` (covered by test/e2e/envoy-facts-addresses.test.ts).
 */
function peerOf({ headers }: IncomingMessage): string | undefined {
  const external = headers['x-envoy-external-address'];
  const told = headers['x-envoy-internal'] === undefined && external !== undefined ? single(external) : undefined;
  const address = told ?? single(headers['x-forwarded-for']).split(',').at(-1)?.trim() ?? '';
  return isIP(address) === 0 ? undefined : address;
}

function single(value: string | string[] | undefined): string {
  return [value].flat().join();
}

export function shown(show: Page, told: readonly Told[] = [], cookies: readonly string[] = []): Reply {
  return { status: 200, show, told, cookies };
}

/** @param location a path of ours, never anything that came in */
export function goTo(location: string, told: readonly Told[] = [], cookies: readonly string[] = []): Reply {
  return { status: 303, show: { location }, told, cookies };
}

export function sameUser(one: UserKey, other: UserKey): boolean {
  return one.issuer === other.issuer && one.subject === other.subject;
}
