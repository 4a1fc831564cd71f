import { ScriptedBrowser } from './scripted-browser.ts';
import type { Page } from './scripted-browser.ts';
import { trackerAccounts } from './tracker-accounts.ts';

/** Where `say` learns what the scripted person does. */
type Say = (step: string) => void;

/**
 * What a person does with a connect link, in a browser that has never been there: sign in at the identity provider as
 * `user`, then let the tracker give access to the account that belongs to `user`. Throws with what the last page says
 * when that is not "… is connected".
 */
export async function connectAccount(link: URL, user: string, say: Say): Promise<void> {
  const browser = new ScriptedBrowser();
  say('opens the link');
  const asked = await browser.press(await browser.open(link), 'Sign in and connect');
  say(`signs in at the identity provider as ${user}`);
  const consent = await browser.press(asked, user);
  const account = [...trackerAccounts.values()].find(({ owner }) => owner === user)?.sub ?? '';
  // Another person's link ends before the tracker is asked.
  if (consent.forms.some(({ value }) => value === account)) {
    say(`lets the tracker give access to the account ${account}`);
    return told(await browser.press(consent, account), /is connected$/, say);
  }
  told(consent, /is connected$/, say);
}

/** What a person does on the accounts page to end the access: sign in as `user`, press Disconnect beside the tracker. */
export async function disconnectAccount(accountsPage: URL, provider: string, user: string, say: Say): Promise<void> {
  const browser = new ScriptedBrowser();
  say('opens the accounts page');
  const asked = await browser.press(await browser.open(accountsPage), 'Sign in');
  say(`signs in at the identity provider as ${user}`);
  const accounts = await browser.press(asked, user);
  const path = `${accountsPage.pathname}/${provider}/disconnect`;
  if (!accounts.forms.some(({ action }) => action === path)) return say(`finds no account at ${provider}`);
  say('presses Disconnect');
  told(await browser.press(accounts, 'Disconnect', path), /is disconnected$/, say);
}

function told(page: Page, wanted: RegExp, say: Say): void {
  if (!wanted.test(page.heading))
    throw new Error(page.text || `${page.url.origin}${page.url.pathname}: ${page.status}`);
  say(`reads "${page.heading}"`);
}
