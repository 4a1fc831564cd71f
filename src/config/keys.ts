import { createPrivateKey, type KeyObject } from 'node:crypto';
import type { Problem } from '../core/problem.ts';
import type { Path } from '../core/schema-shape.ts';
import type { Secret } from '../core/secret.ts';
import type { Config } from './schema.ts';

type Found = Pick<Problem, 'message' | 'mend'> | undefined;

/** Keys that cannot do their work (V-17) and names of current keys that fit no key (V-12). */
export function keyProblems(config: Config): Problem[] {
  const problems: Problem[] = [];
  const check = (path: Path, secret: Secret | undefined, fault: (value: string) => Found) => {
    const value = valueOf(secret);
    const found = value === undefined ? undefined : fault(value);
    if (found) problems.push({ code: 'V-17', severity: 'error', file: '', path, ...found });
  };
  config.vault.keys.forEach((key, i) => check(['vault', 'keys', i, 'key'], key.key, aesFault));
  config.session.keys.forEach((key, i) => check(['session', 'keys', i, 'key'], key.key, aesFault));
  config.connect.cookieKeys.forEach((key, i) => check(['connect', 'cookieKeys', i], key, aesFault));
  config.signing.keys.forEach((key, i) => {
    if (key.alg === 'HS256') check(['signing', 'keys', i, 'secret'], key.secret, hmacFault);
    else check(['signing', 'keys', i, 'privateKey'], key.privateKey, (pem) => signingFault(pem, key.alg));
  });
  const clients: [Path, { readonly privateKey?: Secret | undefined } | undefined][] = [
    ...Object.entries(config.upstreamProviders).map(([name, client]): [Path, typeof client] => [
      ['upstreamProviders', name],
      client,
    ]),
    ...Object.entries(config.tokenExchanges).map(([name, client]): [Path, typeof client] => [
      ['tokenExchanges', name],
      client,
    ]),
    [['connect', 'login'], config.connect.login],
  ];
  for (const [path, client] of clients) check([...path, 'privateKey'], client?.privateKey, pemFault);
  return [...problems, ...currentKeyProblems(config)];
}

/** The text of a secret; undefined when it is not there or could not be read, which is told elsewhere. */
function valueOf(secret: Secret | undefined): string | undefined {
  try {
    return secret?.reveal();
  } catch {
    return undefined;
  }
}

const MAKE_AES_KEY = 'make one with: openssl rand -base64 32';

function aesFault(text: string): Found {
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(text)) return { message: 'the key is not base64', mend: MAKE_AES_KEY };
  const { length } = Buffer.from(text, 'base64');
  return length === 32 ? undefined : { message: `the key has ${length} bytes; it must have 32`, mend: MAKE_AES_KEY };
}

function hmacFault(text: string): Found {
  const length = Buffer.byteLength(text);
  // RFC 7518 3.2: a key of the same size as the hash or larger.
  return length >= 32
    ? undefined
    : {
        message: `the secret has ${length} bytes; HS256 needs at least 32`,
        mend: 'make one with: openssl rand -base64 48',
      };
}

const MAKE_KEY = {
  ES256: 'openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt',
  EdDSA: 'openssl genpkey -algorithm ed25519',
  RS256: 'openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072',
} as const;

function signingFault(pem: string, alg: keyof typeof MAKE_KEY): Found {
  const key = readPem(pem);
  const mend = `make one with: ${MAKE_KEY[alg]}`;
  if (!key) return { message: 'is not a private key in PKCS#8 PEM', mend };
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  const fits = {
    ES256: namedCurve === 'prime256v1',
    EdDSA: key.asymmetricKeyType === 'ed25519',
    RS256: key.asymmetricKeyType === 'rsa',
  }[alg];
  if (!fits) return { message: `the private key is of another kind than ${alg} needs`, mend };
  // RFC 7518 3.3: a key of size 2048 bits or larger.
  return alg === 'RS256' && modulusLength < 2048
    ? { message: `the RSA key has ${modulusLength} bits; it must have at least 2048`, mend }
    : undefined;
}

function pemFault(pem: string): Found {
  return readPem(pem)
    ? undefined
    : { message: 'is not a private key in PKCS#8 PEM', mend: 'give the PEM text, its BEGIN and END lines included' };
}

function readPem(pem: string): KeyObject | undefined {
  try {
    return pem.includes('-----BEGIN PRIVATE KEY-----') ? createPrivateKey(pem) : undefined;
  } catch {
    return undefined;
  }
}

function currentKeyProblems({ signing }: Config): Problem[] {
  return (['jws', 'hmac'] as const).flatMap((kind): Problem[] => {
    const id = signing.current[kind];
    if (id === undefined) return [];
    const key = signing.keys.find((one) => one.id === id);
    const fits = key !== undefined && (key.alg === 'HS256') === (kind === 'hmac');
    if (fits) return [];
    const wanted = kind === 'hmac' ? 'an HS256 key' : 'an ES256, EdDSA or RS256 key';
    const message = key
      ? `names a key of algorithm ${key.alg}; ${kind} needs ${wanted}`
      : 'names a key that is not under signing.keys';
    return [
      {
        code: 'V-12',
        severity: 'error',
        file: '',
        path: ['signing', 'current', kind],
        message,
        mend: `name ${wanted} of signing.keys`,
      },
    ];
  });
}
