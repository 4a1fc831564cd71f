import type { IncomingMessage } from 'node:http';
import type { Clock } from '../core/ports.ts';
import { createSealer, type SealKey } from '../core/seal.ts';
import { Browser } from '../upstream/connect-browser.ts';
import type { Person } from '../upstream/login.ts';

/** How long somebody stays signed in, in milliseconds; then they sign in again. */
const SESSION_LIFE_MS = 60 * 60 * 1000;
/** RFC 6265 6.1: name, value and attributes; browsers silently drop what is longer. */
const MAX_COOKIE_BYTES = 4096;

/**
 * The two cookies of the connect pages, both sealed. One tells browsers apart; it lives until the browser is closed and
 * is never replaced while it is good, so that all tabs keep what they have begun. The other says who is signed in, and is
 * worth nothing beside another browser's cookie.
 */
export interface ConnectCookies {
  browser(request: IncomingMessage): Browser | undefined;
  person(request: IncomingMessage, browser: Browser): Person | undefined;
  /** Values of Set-Cookie. */
  forBrowser(browser: Browser): string;
  /** Undefined when it would be too long for a browser to keep. */
  forPerson(person: Person, browser: Browser): string | undefined;
  signedOut(): string;
}

interface Session extends Person {
  readonly until: number;
}

/**
 * @param secure whether `publicUrl` is https
 * @param fingerprint of the login: sessions that another configuration made are void
 */
export function createConnectCookies(
  keys: readonly SealKey[],
  secure: boolean,
  fingerprint: readonly string[],
  clock: Clock,
): ConnectCookies {
  const browsers = createSealer(keys, 'connect-browser');
  const sessions = createSealer(keys, 'connect-session');
  // RFC 6265bis 4.1.3.2: nobody but this very host can set such a cookie, not even its subdomains.
  const prefix = secure ? '__Host-' : '';
  const [browserName, sessionName] = [`${prefix}mcp-connect-browser`, `${prefix}mcp-connect-session`];
  // Lax and not Strict: the callbacks come from other sites.
  const attributes = `Path=/; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`;

  return {
    browser(request) {
      for (const text of valuesOf(request, browserName)) {
        const opened = browsers.open(text, []);
        const browser = opened.ok ? Browser.from(opened.plaintext) : undefined;
        if (browser) return browser;
      }
      return undefined;
    },

    person(request, browser) {
      for (const text of valuesOf(request, sessionName)) {
        const opened = sessions.open(text, [browser.id, ...fingerprint]);
        if (!opened.ok) continue;
        const { until, ...person } = JSON.parse(opened.plaintext.toString('utf8')) as Session;
        if (clock.nowMs() <= until) return person;
      }
      return undefined;
    },

    forBrowser: (browser) => `${browserName}=${browsers.seal(browser.bytes(), [])}; ${attributes}`,

    forPerson({ issuer, subject, label }, browser) {
      const session: Session = { issuer, subject, label, until: clock.nowMs() + SESSION_LIFE_MS };
      const value = sessions.seal(JSON.stringify(session), [browser.id, ...fingerprint]);
      const cookie = `${sessionName}=${value}; ${attributes}; Max-Age=${SESSION_LIFE_MS / 1_000}`;
      return cookie.length > MAX_COOKIE_BYTES ? undefined : cookie;
    },

    signedOut: () => `${sessionName}=; ${attributes}; Max-Age=0`,
  };
}

/** RFC 6265 5.4. Over plain http others may have planted a cookie of the same name; ours is the one that opens. */
function valuesOf(request: IncomingMessage, name: string): string[] {
  return (request.headers.cookie ?? '').split(';').flatMap((pair) => {
    const at = pair.indexOf('=');
    return at > 0 && pair.slice(0, at).trim() === name ? [pair.slice(at + 1).trim()] : [];
  });
}
