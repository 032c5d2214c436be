// Every size and bound in one place. Those that depend on each other are checked against each other when this
// module loads, so that a change that breaks one of them fails at the first start, not under load.

import { assert } from "./assert.js";

export const KIB = 1024;
export const MIB = 1024 * KIB;

/** What a request asks for, in bytes: 16 KiB by agreement of all clients (BEP 3). */
export const BLOCK_SIZE = 16 * KIB;
/** Smallest and largest piece length that a torrent file may name, in bytes; and the smallest that we make. */
export const PIECE_LENGTH_MIN = 1;
export const PIECE_LENGTH_MADE_MIN = 16 * KIB;
export const PIECE_LENGTH_MAX = 512 * MIB;

/** Slots, and the slab itself, begin at multiples of this: what O_DIRECT and the pages of the machine ask for. */
export const PAGE_SIZE = 4 * KIB;

/** The memory of one session that blocks live in, in bytes. */
export const POOL_BYTES_DEFAULT = 32 * MIB;
export const POOL_BYTES_MIN = 1 * MIB;
export const POOL_BYTES_MAX = 2048 * MIB;

/** One contiguous receive takes up to this many bytes; a speculative one about as many. */
export const RECEIVE_BUFFER_BYTES = 256 * KIB;
export const RECEIVE_BUFFER_BYTES_MIN = 16 * KIB;
export const RECEIVE_BUFFER_BYTES_MAX = 4 * MIB;
/** Blocks that one speculative receive may predict at the most. */
export const SPECULATION_DEPTH_MAX = 112;
/** As many predictions as there are bytes in a contiguous receive, where no more is known to come. */
export const BLOCKS_AT_ONCE = RECEIVE_BUFFER_BYTES / BLOCK_SIZE;

/** length prefix (4) + id (1) + piece (4) + begin (4): what stands before the payload of a piece message (BEP 3). */
export const PIECE_HEADER_BYTES = 13;
/** length prefix (4) + id (1). */
export const MESSAGE_HEADER_BYTES = 5;
/** length prefix (4) + id (1) + piece (4) + begin (4) + length (4). */
export const REQUEST_MESSAGE_BYTES = 17;
/** 1 + 19 + 8 + 20 + 20 (BEP 3). */
export const HANDSHAKE_BYTES = 68;

/** A message that is skipped, because we do not know its id, may be this long, length prefix excluded, in bytes. */
export const MESSAGE_BYTES_MAX = 1 * MIB;
/** An extended message (BEP 10) may be this long, length prefix excluded: a handshake, or 16 KiB of metadata with its head. */
export const EXTENDED_MESSAGE_BYTES_MAX = 32 * KIB;
/** Messages on their way that a session gathers, of all its peers together, in bytes. */
export const MESSAGE_MEMORY_BYTES = 16 * MIB;
/** A torrent may have this many pieces: bounds the bitfield, and so the longest message we gather. */
export const PIECE_COUNT_MAX = 4 * MIB;
/** A torrent file larger than this is refused, in bytes. */
export const METAINFO_BYTES_MAX = 128 * MIB;

/** An address on the web that a torrent names, in characters. */
export const LONG_URL_MAX = 4096;

/** Entries (address, length) in the shared plan; IOV_MAX of Linux and macOS. */
export const PLAN_ENTRIES_MAX = 1024;
/** Pairs in the shared list of ready sockets, and in the shared list of completed jobs. */
export const READY_ENTRIES_MAX = 1024;
export const COMPLETION_ENTRIES_MAX = 1024;
/** Words (doubles) in the shared job submission table. */
export const JOB_WORDS_MAX = 64 * KIB;

/** Mapping i occupies the addresses from (i + 1) × this. 2^40: a mapping of 1 TiB, 8191 of them below 2^53. */
export const MAPPING_ADDRESS_STRIDE = 2 ** 40;

/**
 * Requests outstanding at one peer: where the pipeline starts, and its default and absolute upper bounds. By default 32 MB may be
 * on the way, which keeps a link of 60 MB/s busy up to a round trip of half a second.
 */
export const REQUESTS_INITIAL = 16;
export const REQUESTS_DEFAULT = 2000;
export const REQUESTS_MAX = 4096;
/** Requests for each of the peers that answer at once, at least, however many they are. */
export const REQUESTS_SHARE_MIN = 32;
/** `reqq` that we announce (BEP 10): requests of one peer that we queue before we reject or drop. */
export const REQUEST_QUEUE_ANNOUNCED = 2048;

/** Pieces that are hashed side by side where the processor can: the widest lanes there are (AVX-512, 32-bit words). */
export const HASH_LANES = 16;
/** Blocks of one piece that are asked for, hashed and written at one time where several pieces advance side by side. */
export const CHUNK_BLOCKS = 8;
/** What all peers that answer at once are asked for, together: enough to keep all lanes busy. */
export const REQUESTS_NEAR = HASH_LANES * CHUNK_BLOCKS;
/** The same where one alone answers at once, and at a high rate: enough to receive 2 MiB and more at a time, while four times as much is to come. */
export const REQUESTS_NEAR_ALONE = 6 * REQUESTS_NEAR;

/** Bytes of adjacent blocks that one write gathers, at the most. */
export const WRITE_RUN_BYTES = 1 * MIB;
export const WRITE_RUN_BYTES_MAX = 4 * MIB;

assert(PIECE_LENGTH_MADE_MIN >= BLOCK_SIZE, "a piece that we make holds at least one whole block");
assert(BLOCK_SIZE % PAGE_SIZE === 0, "slots of one block each keep page alignment");
assert(WRITE_RUN_BYTES_MAX / BLOCK_SIZE <= PLAN_ENTRIES_MAX, "a write run fits one pwritev");
assert(2 * SPECULATION_DEPTH_MAX + 2 <= PLAN_ENTRIES_MAX, "a speculative plan fits one readv");
assert(PIECE_COUNT_MAX / 8 < MESSAGE_BYTES_MAX, "the longest bitfield is an acceptable message");
assert(2 * MESSAGE_BYTES_MAX <= MESSAGE_MEMORY_BYTES, "the longest message is gathered beside another");
assert(POOL_BYTES_MAX < MAPPING_ADDRESS_STRIDE, "slab and mapping addresses cannot meet");
assert(
  RECEIVE_BUFFER_BYTES + 8 * BLOCK_SIZE < POOL_BYTES_MIN,
  "the smallest pool has slots besides its scratch memory",
);
