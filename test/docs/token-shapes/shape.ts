/** A token as a provider makes it. */
export interface Shape {
  readonly claims: Readonly<Record<string, unknown>>;
  /** Header members beside `alg` and `kid`. */
  readonly header?: Readonly<Record<string, unknown>>;
  /** Of which route; default `hr`. */
  readonly backend?: string;
  /** In place of the route's own. */
  readonly methods?: readonly string[];
}

interface Good extends Shape {
  /** Whom it names: subject, scopes, attributes. */
  readonly is: Readonly<Record<string, unknown>>;
}

interface Refused extends Shape {
  /** Of the refusal; `scope_missing` where the route's scopes are what keeps it out. */
  readonly reason: string;
}

/** What is accepted at the routes of a recipe page, and what is not. */
export interface ProviderShapes {
  readonly good: Record<string, Good>;
  readonly refused: Record<string, Refused>;
}

export const RESOURCE = 'https://mcp.example.com/hr/mcp';
export const JWT = { typ: 'JWT' };

export const without = (claims: Readonly<Record<string, unknown>>, ...names: string[]) =>
  Object.fromEntries(Object.entries(claims).filter(([name]) => !names.includes(name)));
