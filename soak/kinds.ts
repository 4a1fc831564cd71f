/** What is called, by its name in the report. */
export const KINDS = [
  'claims',
  'signed',
  'meta',
  'api key',
  'upstream',
  'exchange',
  'stream',
  'session opened',
  'session used',
  'session closed',
  'hung up',
  'bad credential',
  'unknown key id',
  'bad tool',
  'foreign session',
  'unconnected',
] as const;
export type Kind = (typeof KINDS)[number];

/** The ones that nobody may get through with, and what they get instead. */
export const DENIED: Readonly<Partial<Record<Kind, readonly number[]>>> = {
  'bad credential': [400, 401],
  'unknown key id': [401],
  'bad tool': [403],
  'foreign session': [404],
  unconnected: [403],
};

/** Needs the vault. */
export const ofUpstream = (kind: Kind): boolean => kind === 'upstream' || kind === 'unconnected';

/** First segment of the path, and name of the backend. */
export type Route = 'claims' | 'signed' | 'meta' | 'bots' | 'upstream' | 'exchange' | 'session';
