import assert from 'node:assert/strict';
import { test } from 'node:test';
import { normalUrl } from '../../../src/authn/dpop-url.ts';
import { urlFault } from '../../../src/core/scalars.ts';

test('a host too long for any URL is a fault of the text, not of ours', () => {
  const endless = `https://${'MCP.example'.repeat(1_600)}.co..`;
  assert.throws(() => new URL(endless));
  assert.equal(urlFault(endless), 'must be an absolute https URL');
  assert.equal(normalUrl(endless), undefined);
});

test('a URL with half an escape has no normal form: it could become another escape', () => {
  assert.equal(normalUrl('https://mcp.example.com/%%66d'), undefined);
  assert.equal(normalUrl('https://mcp.example.com/%4'), undefined);
  assert.equal(normalUrl('https://mcp.example.com/%6d%2f'), 'https://mcp.example.com/m%2F');
});
