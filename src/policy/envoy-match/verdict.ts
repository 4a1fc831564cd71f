/** Does something match? What cannot be judged from the configuration is said, never guessed. */
export type Verdict =
  | { readonly kind: 'yes' }
  | { readonly kind: 'no'; readonly why: string }
  | { readonly kind: 'unknown'; readonly why: string };

export const YES: Verdict = { kind: 'yes' };

export function no(why: string): Verdict {
  return { kind: 'no', why };
}

export function unknown(why: string): Verdict {
  return { kind: 'unknown', why };
}

/** All must hold: one that does not decides, whatever cannot be judged beside it. */
export function allOf(verdicts: Iterable<Verdict>): Verdict {
  let open: Verdict = YES;
  for (const verdict of verdicts) {
    if (verdict.kind === 'no') return verdict;
    if (verdict.kind === 'unknown' && open.kind === 'yes') open = verdict;
  }
  return open;
}

export function when(holds: boolean, why: string): Verdict {
  return holds ? YES : no(why);
}
