import type { Audit, AuditRecord } from '../../../src/core/ports.ts';
import { createEgress } from '../../../src/net/egress.ts';
import { createProvider, type Provider } from '../../../src/upstream/provider.ts';
import { type UpstreamProviderConfig, upstreamProviderSchema } from '../../../src/upstream/schema.ts';
import { SecretRef } from '../../../src/core/secret.ts';
import type { FakeProvider } from '../../support/provider.ts';
import { testTools, type TestTools } from '../authn/support.ts';

/** A configuration as the loader hands it on: secrets read. */
export function providerConfig(fields: Readonly<Record<string, unknown>>): UpstreamProviderConfig {
  const config = upstreamProviderSchema.parse({ clientId: 'client', clientSecret: 's3cret', ...fields });
  for (const value of Object.values(config)) {
    if (value instanceof SecretRef) {
      const source = value.source();
      if ('literal' in source) value.read(source.literal);
    }
  }
  return config;
}

export function providerFor(
  fake: FakeProvider,
  fields: Readonly<Record<string, unknown>> = {},
  tools: TestTools = testTools(Date.now()),
): Provider {
  const egress = createEgress({ log: tools.log, metrics: tools.metrics, timeoutMs: 1_000 });
  return createProvider('github', providerConfig({ issuer: fake.issuer, ...fields }), tools, egress);
}

export function testAudit(): Audit & { readonly records: AuditRecord[] } {
  const records: AuditRecord[] = [];
  return { records, write: (record) => void records.push(record) };
}
