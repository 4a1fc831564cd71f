/** Somebody with an account at the demo's tracker. That is another name than at the identity provider, as in life. */
export interface TrackerAccount {
  readonly sub: string;
  readonly name: string;
  /** Who it belongs to at the identity provider. Only scripts look at it; the tracker does not know. */
  readonly owner: string;
  readonly issues: readonly string[];
}

export const trackerAccounts: ReadonlyMap<string, TrackerAccount> = new Map(
  [
    { sub: 'wonderland', name: 'Alice at the tracker', owner: 'alice', issues: ['The rabbit is late', 'Tea is cold'] },
    { sub: 'builder', name: 'Bob at the tracker', owner: 'bob', issues: ['Can we fix it?'] },
  ].map((account) => [account.sub, account]),
);

export const trackerScopes: readonly string[] = ['issues:read'];
