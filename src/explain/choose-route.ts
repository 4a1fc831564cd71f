import type { EnvoyModel, RouteTable, RouteUse } from '../policy/envoy-config/model.ts';
import { type Asked, chooseRoute } from '../policy/envoy-match/choose.ts';
import type { Notebook } from './finding.ts';

/** What whoever asks knows better than the configuration says. */
export interface RouteWish {
  /** Name of the route, or the label under which `check` shows it. */
  readonly route?: string | undefined;
  /** `backend` of its policy. */
  readonly backend?: string | undefined;
  /** Name of the listener, or its port. */
  readonly listener?: string | undefined;
}

export type Chosen =
  | { readonly kind: 'route'; readonly uses: readonly RouteUse[] }
  | { readonly kind: 'none'; readonly why: string }
  | { readonly kind: 'unknown'; readonly why: string; readonly mend: string }
  /** The wish names nothing that is there. */
  | { readonly kind: 'wrong'; readonly what: string };

/** The route of the request: the one that was named, else the one that Envoy would take. */
export function chooseEnvoyRoute(model: EnvoyModel, wish: RouteWish, asked: Asked, notebook: Notebook): Chosen {
  if (wish.route !== undefined || wish.backend !== undefined) return named(model, wish);
  const tables = tablesOf(model, wish.listener, asked);
  const choices = tables.map((table) => ({ table, choice: chooseRoute(model, table, asked) }));
  const taking = choices.filter(({ choice }) => choice.kind !== 'none');
  const [one, another] = taking;
  if (another) {
    const names = taking.map(({ table }) => listenerName(table)).join(', ');
    return { kind: 'unknown', why: `several listeners could take it: ${names}`, mend: 'name one with --listener' };
  }
  const taken = one ?? choices[0];
  if (!taken)
    return {
      kind: 'wrong',
      what: `no listener has the name or port ${wish.listener ?? ''}, and routes that can be read`,
    };
  const { table, choice } = taken;
  notebook.step('route', 'note', `listener ${listenerName(table)}`);
  for (const { route, why } of choice.passedBy.slice(-MAX_TOLD)) notebook.step('route', 'note', `not ${route}: ${why}`);
  if (choice.kind !== 'unknown') return choice;
  return { kind: 'unknown', why: choice.why, mend: 'name the route with --route or --backend' };
}

/** Routes that were passed by and are told, the last ones. */
const MAX_TOLD = 8;

function named(model: EnvoyModel, { route, backend }: RouteWish): Chosen {
  const fits = model.routes.filter(
    (use) =>
      (route === undefined || use.name === route || use.label === route) &&
      (backend === undefined || use.policy.get('backend').text() === backend),
  );
  const what = [route && `named ${route}`, backend && `with the backend ${backend}`].filter(Boolean).join(' and ');
  const [first] = fits;
  if (!first) return { kind: 'wrong', what: `no route is ${what}` };
  const nodes = new Set(fits.map(({ node }) => node));
  if (nodes.size === 1) return { kind: 'route', uses: fits };
  const names = [...new Set(fits.map(({ name }) => name))].join(', ');
  return { kind: 'wrong', what: `${nodes.size} routes are ${what}: ${names}; name one of them` };
}

/** The route tables that may be asked: those of the named listener, else those on the port of the URL, else all. */
function tablesOf(model: EnvoyModel, listener: string | undefined, { host, scheme }: Asked): readonly RouteTable[] {
  if (listener !== undefined)
    return model.tables.filter((table) => listenerName(table) === listener || String(portOf(table)) === listener);
  const wanted = Number(/:(\d+)$/.exec(host)?.[1] ?? (scheme === 'https' ? 443 : 80));
  const there = model.tables.filter((table) => portOf(table) === wanted);
  return there.length > 0 ? there : model.tables;
}

function portOf({ connections }: RouteTable): number | undefined {
  return connections.listener.at('address', 'socket_address', 'port_value').number();
}

function listenerName(table: RouteTable): string {
  return table.connections.listener.get('name').text() || `on port ${portOf(table) ?? 'unknown'}`;
}
