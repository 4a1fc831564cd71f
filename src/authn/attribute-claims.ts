import { z } from 'zod';
import { claimAt } from '../core/claims.ts';
import type { Attributes } from '../core/identity.ts';

const path = (fallback: string) => z.string().min(1).default(fallback);

/** Which claim feeds which attribute; dotted paths reach into objects (Keycloak: `realm_access.roles`). */
export const attributeClaimsSchema = z
  .strictObject({
    email: path('email').describe('A text'),
    full_name: path('name').describe('A text'),
    groups: path('groups').describe('A text or a list of texts'),
    roles: path('roles').describe('A text or a list of texts'),
    teams: path('teams').describe('A text or a list of texts'),
    is_admin: path('is_admin').describe('true or false'),
    service_account: path('service_account').describe('true, false or a text'),
  })
  .prefault({})
  .describe('Which claim feeds which attribute; dotted paths allowed');

export type AttributeClaims = z.output<typeof attributeClaimsSchema>;

/** Takes the attributes out of the claims; a claim of an unexpected type is left out, never coerced. */
export function readAttributes(claims: Readonly<Record<string, unknown>>, names: AttributeClaims): Attributes {
  const text = (name: string) => {
    const value = claimAt(claims, name);
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const list = (name: string) => {
    const value = claimAt(claims, name);
    const items = typeof value === 'string' ? [value] : Array.isArray(value) ? value : [];
    const texts = items.filter((item): item is string => typeof item === 'string' && item !== '');
    return texts.length > 0 ? texts : undefined;
  };
  const flag = (name: string) => {
    const value = claimAt(claims, name);
    return typeof value === 'boolean' ? value : undefined;
  };
  return defined({
    email: text(names.email),
    full_name: text(names.full_name),
    groups: list(names.groups),
    roles: list(names.roles),
    teams: list(names.teams),
    is_admin: flag(names.is_admin),
    service_account: flag(names.service_account) ?? text(names.service_account),
  });
}

function defined<T extends Record<string, unknown>>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  for (const key of Object.keys(fields)) if (fields[key] === undefined) delete fields[key];
  return fields as { [K in keyof T]?: Exclude<T[K], undefined> };
}

/** RFC 8693 4.1: `act` nests; the outermost is the current actor. Bounded, because the token is an outsider's. */
export function delegationChain(claims: Readonly<Record<string, unknown>>): string[] {
  const chain: string[] = [];
  let act = claims['act'];
  while (typeof act === 'object' && act !== null && chain.length < 16) {
    const { sub, act: inner } = act as { sub?: unknown; act?: unknown };
    if (typeof sub === 'string') chain.push(sub);
    act = inner;
  }
  return chain;
}
