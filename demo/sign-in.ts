import { ScriptedBrowser } from './scripted-browser.ts';

/**
 * What a browser and a person do at the demo identity provider: open the authorization URL, choose `user`,
 * follow the redirects. Returns the redirect back to the client (with `code`, `state` and `iss`) without opening it.
 */
export async function signIn(authorizationUrl: URL, user: string, redirectUri: string): Promise<URL> {
  const browser = new ScriptedBrowser(redirectUri);
  const asked = await browser.open(authorizationUrl);
  const { url, status, text } = asked.forms.length > 0 ? await browser.press(asked, user) : asked;
  if (!url.href.startsWith(redirectUri))
    throw new Error(`sign-in ended at ${url.origin}${url.pathname}: ${status} ${text}`);
  return url;
}
