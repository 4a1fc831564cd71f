/** The bytes are not the message they should be. The text tells the fault and its offset, never what was sent. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
}

/** The values cannot be put into a message that Envoy reads as meant. The text may name a header, never its value. */
export class EncodeError extends Error {
  override readonly name = 'EncodeError';
}

/** https://protobuf.dev/programming-guides/encoding/#structure; 3 and 4 are the groups of proto2. */
export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH_DELIMITED = 2;
export const FIXED32 = 5;
