/** What the config file defines, as far as a route policy can name it. */
export interface World {
  readonly methods: ReadonlyMap<
    string,
    { readonly type: string; readonly issuer?: string; readonly headers: readonly string[] }
  >;
  readonly providers: ReadonlySet<string>;
  readonly exchanges: ReadonlyMap<string, { readonly tokenEndpoint: string }>;
  readonly secrets: ReadonlySet<string>;
  readonly hasVaultKeys: boolean;
  readonly loginIssuer: string | undefined;
  readonly signing: { readonly jws: boolean; readonly hmac: boolean };
  readonly hasSessionKeys: boolean;
}
