import type { Keep, Tools } from './ports.ts';

/** Builds every part anew: for what lives only as long as one look. */
export function keepNothing(tools: Tools): Keep {
  const keep: Keep = { take: (_name, _settings, build) => build(tools, keep) };
  return keep;
}
