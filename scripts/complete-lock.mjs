// Adds to package-lock.json the platform packages that npm left out (see lib/platform-packages.mjs). Run it after
// `npm install` when a test says that the lock is incomplete.
import { readFileSync, writeFileSync } from 'node:fs';
import { missingPlatformPackages } from './lib/platform-packages.mjs';

const path = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(path, 'utf8'));
const missing = missingPlatformPackages(lock.packages);
const added = Object.fromEntries(missing.map(({ path: place, entry }) => [place, entry]));
const entries = Object.entries({ ...lock.packages, ...added });
// npm's own order
lock.packages = Object.fromEntries(entries.sort(([a], [b]) => a.localeCompare(b, 'en')));
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${missing.length} entries added`);
