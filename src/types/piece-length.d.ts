// The `piece-length` package has no types of its own.

declare module "piece-length" {
  /** Bytes per piece for a torrent of `length` bytes. */
  export default function pieceLength(length: number): number;
}
