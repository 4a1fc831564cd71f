import { parentPort } from 'node:worker_threads';
import { passwordMatches } from './password-hash.ts';

// What password-pool.ts starts: one question at a time, one answer each.
parentPort?.on('message', ({ hash, password }: { readonly hash: string; readonly password: string }) => {
  parentPort?.postMessage(passwordMatches(hash, password));
});
