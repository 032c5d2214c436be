// The `bencode` package has no types of its own. Byte strings decode to Uint8Array, dictionaries to objects.

declare module "bencode" {
  const bencode: {
    encode(value: unknown): Uint8Array;
    decode(bytes: Uint8Array): unknown;
  };
  export default bencode;
}
