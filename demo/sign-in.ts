/**
 * What a browser and a person do at the demo identity provider: open the authorization URL, choose `user`,
 * follow the redirects. Returns the redirect back to the client (with `code`, `state` and `iss`) without opening it.
 */
export async function signIn(authorizationUrl: URL, user: string, redirectUri: string): Promise<URL> {
  const cookies = new Map<string, string>();
  let url = authorizationUrl;
  for (let hops = 0; hops < 10; hops++) {
    const atLoginPage = url.pathname.startsWith('/interaction/');
    const response = await fetch(url, {
      redirect: 'manual',
      headers: {
        cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
      },
      signal: AbortSignal.timeout(10_000),
      ...(atLoginPage ? { method: 'POST', body: new URLSearchParams({ user }) } : {}),
    });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (name !== undefined && value !== undefined) cookies.set(name, value);
    }
    const location = response.headers.get('location');
    if (location === null)
      throw new Error(`sign-in ended at ${url.origin}${url.pathname}: ${response.status} ${await response.text()}`);
    url = new URL(location, url);
    if (url.href.startsWith(redirectUri)) return url;
  }
  throw new Error('sign-in: too many redirects');
}
