import type { ScalarTag } from 'yaml';

/**
 * How Envoy reads plain scalars (yaml-cpp, then google.protobuf.Value; tried on 1.40, covered by
 * test/config/envoy.test.ts): `yes` and `on` are booleans, `017` is octal, integers beyond 32 bits and every
 * number with a point stay texts. A policy read otherwise would not be the one that the route carries.
 */
export const envoyScalars: ScalarTag[] = [
  {
    tag: 'tag:yaml.org,2002:null',
    default: true,
    test: /^(?:~|null|Null|NULL|)$/,
    resolve: () => null,
  },
  {
    tag: 'tag:yaml.org,2002:bool',
    default: true,
    test: /^(?:[yYnN]|yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$/,
    resolve: (text) => /^(?:y|yes|true|on)$/i.test(text),
  },
  {
    tag: 'tag:yaml.org,2002:int',
    default: true,
    test: /^[-+]?(?:0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)$/,
    resolve: (text) => readInteger(text),
  },
];

const INT32 = { min: -(2n ** 31n), max: 2n ** 31n - 1n };
const INT64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };

function readInteger(text: string): number | string {
  const digits = text.replace(/^[-+]/, '');
  const octal = /^0[0-7]+$/.test(digits);
  const size = BigInt(octal ? `0o${digits.slice(1)}` : digits);
  const value = text.startsWith('-') ? -size : size;
  if (value >= INT32.min && value <= INT32.max) return Number(value);
  return value >= INT64.min && value <= INT64.max ? value.toString() : text;
}
