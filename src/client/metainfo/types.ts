// What a torrent file says, checked.

/** A file of a torrent (BEP 3, 47). */
export interface MetainfoFile {
  /** Components below the download folder, the torrent's name first; each is safe to join. */
  readonly path: readonly string[];
  /** `path` with the names that the torrent has, where one of those is too long for a file system: web seeds know the file by it. */
  readonly originalPath?: readonly string[];
  /** Bytes. */
  readonly length: number;
  /** Byte offset in the torrent. */
  readonly offset: number;
  /** BEP 47: there to align the next file with a piece; never stored, reads as zeros. */
  readonly padding: boolean;
}

/** What a torrent file says (BEP 3, 12, 19, 27, 47), checked: its paths are safe, and its numbers fit one another. */
export interface Metainfo {
  /** SHA-1 of the info dictionary as it stands in the file: 20 bytes. */
  readonly infoHash: Uint8Array;
  /** The same, as 40 hexadecimal digits. */
  readonly infoHashHex: string;
  /** The info dictionary as it stands in the file, which peers may ask for (BEP 9). */
  readonly info: Uint8Array;
  /** What the torrent calls itself: its file, or the folder of its files. */
  readonly name: string;
  /** Bytes of each piece but the last. */
  readonly pieceLength: number;
  /** SHA-1 digests of the pieces, one after the other: 20 × n bytes. A view of `info`. */
  readonly pieces: Uint8Array;
  /** Bytes of all files, padding included. */
  readonly totalLength: number;
  /** In the order of the torrent, padding included. */
  readonly files: readonly MetainfoFile[];
  /** The torrent is one file, which lies in no folder of its own. */
  readonly isSingleFile: boolean;
  /** Tiers of tracker addresses (BEP 12). */
  readonly announce: readonly (readonly string[])[];
  /** BEP 27. */
  readonly private: boolean;
  /** Paths of symbolic links (BEP 47), which are left out of `files` and not made. */
  readonly links: readonly string[];
  /** Addresses of web seeds (BEP 19). */
  readonly webSeeds: readonly string[];
  /** Addresses of web seeds of the older kind (BEP 17), which are not used. */
  readonly httpSeeds: readonly string[];
  /** Nodes of the DHT to begin with (BEP 5): names or numeric addresses. */
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  /** What whoever made it wrote into it. */
  readonly comment?: string;
  /** The program that made it. */
  readonly createdBy?: string;
  /** Seconds since 1970. */
  readonly creationDate?: number;
}
