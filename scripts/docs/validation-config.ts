import type { CodeEntry } from './validation-codes.ts';

/** Codes of the config file as such. */
export const CONFIG_CODES: Readonly<Record<string, CodeEntry>> = {
  'V-16': {
    title: 'A secret, key or certificate cannot be read',
    why: 'The variable is not set, or the file is missing, empty or too large. The message names the variable or the file, never what is in it.',
    examples: [
      {
        bad: { 'config file': 'secrets:\n  crm-key: { env: CRM_KEY_OF_NOBODY }' },
        good: { 'config file': 'secrets:\n  crm-key: { env: SECRET }' },
      },
    ],
  },
  'V-17': {
    title: 'A key is not of the kind it must be',
    why: 'AES keys are 32 bytes in base64; secrets for HS256 at least 32 bytes; signing keys PKCS#8 PEM that fits `alg`.',
    examples: [
      {
        bad: { 'config file': 'session:\n  keys: [{ id: k1, key: c2hvcnQ= }]' },
        good: { 'config file': 'session:\n  keys: [{ id: k1, key: { env: AES_KEY } }] # openssl rand -base64 32' },
      },
    ],
  },
  'V-30': {
    title: 'The gRPC listener can be reached from a network, and callers need no certificate',
    why: 'Policy, peer address and peer certificate arrive in the call: whoever may call may claim to be anyone. Loopback, a unix socket, or mutual TLS.',
    examples: [
      {
        bad: { 'config file': 'server: { grpc: "0.0.0.0:9191" }' },
        good: { 'config file': 'server: { grpc: "127.0.0.1:9191" }' },
      },
    ],
  },
  SCHEMA: {
    title: 'A value of the wrong shape',
    why: 'Unknown keys, missing keys, wrong types, ids given twice, in the config file or in the metadata of a route. Nothing is ignored: a misspelt key would be a rule that does not apply.',
    examples: [
      {
        bad: { 'mcp.identity': 'scope: [crm:read]' },
        good: { 'mcp.identity': 'scopes: [crm:read]' },
      },
    ],
  },
  FILE: {
    title: 'A file cannot be read',
    why: 'It is missing, too large, not YAML, not of the kind it should be, or holds a key twice, of which YAML readers take either.',
    examples: [
      {
        bad: { 'config file': 'log: { level: info }\nlog: { level: debug }' },
        good: { 'config file': 'log: { level: debug }' },
      },
    ],
  },
};
