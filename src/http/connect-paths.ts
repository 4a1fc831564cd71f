/** What a path below `/connect` stands for. */
export type Place =
  | { readonly kind: 'accounts' | 'sign_in' | 'sign_out' | 'sign_in_callback' }
  | { readonly kind: 'link' | 'callback' | 'disconnect' | 'done'; readonly provider: string };

/** Where the connect pages live. Everything comes from `publicUrl`; what a request says about its host is not believed. */
export interface ConnectPaths {
  readonly origin: string;
  /** What people know us by. */
  readonly host: string;
  readonly secure: boolean;
  readonly accounts: string;
  readonly signIn: string;
  readonly signOut: string;
  link(provider: string): string;
  disconnect(provider: string): string;
  done(provider: string): string;
  /** Absolute, as registered at the login issuer. */
  readonly signInCallback: string;
  /** Absolute, as registered at the provider. */
  callback(provider: string): string;
  /** Undefined for paths that are none of ours; `unknown` for those below ours that lead nowhere. */
  find(pathname: string, method: string): Place | 'unknown' | undefined;
}

/**
 * @param publicUrl without a trailing slash; a path in it stands before `/connect`
 *
 * No name of a provider starts with a dash, so what is not about one provider lives below `/connect/-/`. A provider may
 * be called `login` or `callback` all the same: no two of these paths meet.
 */
export function connectPaths(publicUrl: string): ConnectPaths {
  const { origin, host, pathname, protocol } = new URL(publicUrl);
  const base = `${pathname === '/' ? '' : pathname}/connect`;
  const fixed: Readonly<Record<string, Place['kind'] & ('accounts' | 'sign_in' | 'sign_out' | 'sign_in_callback')>> = {
    '': 'accounts',
    '/': 'accounts',
    '/-/sign-in': 'sign_in',
    '/-/sign-out': 'sign_out',
    '/login/callback': 'sign_in_callback',
  };
  return {
    origin,
    host,
    secure: protocol === 'https:',
    accounts: base,
    signIn: `${base}/-/sign-in`,
    signOut: `${base}/-/sign-out`,
    link: (provider) => `${base}/${provider}`,
    disconnect: (provider) => `${base}/${provider}/disconnect`,
    done: (provider) => `${base}/-/done/${provider}`,
    signInCallback: `${publicUrl}/connect/login/callback`,
    callback: (provider) => `${publicUrl}/connect/callback/${provider}`,
    find(path, method) {
      if (path !== base && !path.startsWith(`${base}/`)) return undefined;
      const rest = path.slice(base.length);
      const kind = Object.hasOwn(fixed, rest) ? fixed[rest] : undefined;
      if (kind) return { kind };
      for (const [pattern, found] of BY_PROVIDER) {
        // `/callback/disconnect`: what is posted there comes from a form.
        if (found === 'callback' && method === 'POST') continue;
        const provider = pattern.exec(rest)?.[1];
        if (provider !== undefined) return { kind: found, provider };
      }
      return 'unknown';
    },
  };
}

const BY_PROVIDER = [
  [/^\/-\/done\/([A-Za-z0-9][\w.-]*)$/, 'done'],
  [/^\/callback\/([A-Za-z0-9][\w.-]*)$/, 'callback'],
  [/^\/([A-Za-z0-9][\w.-]*)\/disconnect$/, 'disconnect'],
  [/^\/([A-Za-z0-9][\w.-]*)$/, 'link'],
] as const;
