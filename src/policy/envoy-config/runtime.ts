import type { Node } from './node.ts';

/** Prepares the look-up of runtime keys in the static layers of `layered_runtime`; later layers override. */
export function readRuntime(bootstrap: Node): (key: string) => unknown {
  const values = new Map<string, unknown>();
  for (const layer of bootstrap.at('layered_runtime', 'layers').items()) collect(layer.get('static_layer'), '', values);
  return (key) => values.get(key);
}

/** Keys may be written whole or as nested maps. */
function collect(node: Node, prefix: string, values: Map<string, unknown>): void {
  for (const [key, child] of node.entries()) {
    const name = prefix ? `${prefix}.${key}` : key;
    if (child.entries().length > 0) collect(child, name, values);
    else values.set(name, child.flag() || (child.value ?? undefined));
  }
}
