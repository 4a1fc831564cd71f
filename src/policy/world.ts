/** What the config file defines, as far as a route policy can name it. */
export interface World {
  readonly methods: ReadonlyMap<
    string,
    {
      readonly type: string;
      readonly issuer?: string;
      /** Claim that names the user; without it, `sub`. */
      readonly subjectClaim?: string;
      readonly headers: readonly string[];
      /** A proxy is known by the address it connects from. */
      readonly trustsAddresses?: boolean;
    }
  >;
  readonly providers: ReadonlySet<string>;
  readonly exchanges: ReadonlyMap<string, { readonly tokenEndpoint: string }>;
  readonly secrets: ReadonlySet<string>;
  readonly hasVaultKeys: boolean;
  readonly loginIssuer: string | undefined;
  /** Claim that names who signs in, where somebody has written it down; without it, `sub`. */
  readonly loginSubjectClaim?: string | undefined;
  readonly signing: { readonly jws: boolean; readonly hmac: boolean };
  readonly hasSessionKeys: boolean;
}
