/** YAML for places of the two base files: its top-level keys replace those that stand there; `null` takes one out. */
export interface Snippet {
  readonly 'config file'?: string;
  /** The policy of the route. */
  readonly 'mcp.identity'?: string;
  readonly route?: string;
  readonly ext_authz?: string;
  readonly ext_proc?: string;
  readonly 'connection manager'?: string;
  readonly listener?: string;
  /** That of the backend. */
  readonly cluster?: string;
  /** Stands before the others. */
  readonly 'another filter'?: string;
  readonly bootstrap?: string;
}

export interface Example {
  /** Not shown: what both need around them. */
  readonly around?: Snippet;
  /** Not shown either: what only the mistake needs, such as a key that is missing. */
  readonly hidden?: Snippet;
  /** `check` finds problems of this code, and of no other. */
  readonly bad: Snippet;
  /** `check` finds nothing. */
  readonly good: Snippet;
}

/** All of them in one; of a place that several have, each has keys of its own. */
function together(...snippets: readonly (Snippet | undefined)[]): Snippet {
  const all: Record<string, string> = {};
  for (const snippet of snippets)
    for (const [place, text] of Object.entries(snippet ?? {}))
      all[place] = all[place] === undefined ? text : `${all[place]}\n${text}`;
  return all;
}

/** What `check` gets to see of an example. */
export const badOf = (example: Example): Snippet => together(example.around, example.hidden, example.bad);
export const goodOf = (example: Example): Snippet => together(example.around, example.good);
