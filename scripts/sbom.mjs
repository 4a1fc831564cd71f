// npm run sbom [-- FILE]: what the service is made of, as CycloneDX; default dist/sbom.cdx.json.
// With SOURCE_DATE_EPOCH (seconds) as its time, the same lock file gives the same bytes.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { sbomOf } from './lib/sbom.mjs';

const root = join(import.meta.dirname, '..');
const file = process.argv[2] === undefined ? join(root, 'dist/sbom.cdx.json') : resolve(process.argv[2]);
const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
const epoch = process.env['SOURCE_DATE_EPOCH'];
const sbom = sbomOf(packages, epoch === undefined ? new Date() : new Date(Number(epoch) * 1000));
mkdirSync(dirname(file), { recursive: true });
writeFileSync(file, `${JSON.stringify(sbom, null, 2)}\n`);
console.log(`${sbom.components.length} packages: ${file}`);
