// Figures of trackers that their authors, or others, published: to stand beside what is measured here, and marked as what they are. They
// are of other machines and other years, so that no ratio between them and ours says who is faster.

export interface PublishedRun {
  readonly subject: string;
  readonly keys: string;
  readonly cores: number;
  readonly loadWorkers: number | undefined;
  readonly responsesPerSecond: number;
  /** As it was printed, in percent. */
  readonly cpuPercent: number;
  /** "192.5 MiB"; undefined where it was not told. */
  readonly rss: string | undefined;
}

export interface PublishedRuns {
  readonly title: string;
  readonly source: string;
  readonly machine: string;
  readonly runs: readonly PublishedRun[];
}

type Row = readonly [string, string, number, number | undefined, number, number, string?];

const runsOf = (rows: readonly Row[]): PublishedRun[] =>
  rows.map(([subject, keys, cores, loadWorkers, responsesPerSecond, cpuPercent, rss]) => ({
    ...{ subject, keys, cores, loadWorkers, responsesPerSecond, cpuPercent, rss },
  }));

const MIO = "aquatic_udp";
const URING = "aquatic_udp (io_uring)";

/** All with aquatic's bencher: announces and one scrape in a hundred, 30 peers wanted, its throttle at 90 %. */
export const PUBLISHED_RUNS: readonly PublishedRuns[] = [
  {
    title: "aquatic, February 2024",
    source: "github.com/greatest-ape/aquatic, documents/aquatic-udp-load-test-2024-02-10.md (best results)",
    machine: "Hetzner CCX63: 48 dedicated vCPUs, AMD Milan Epyc 7003; one of each pair of threads",
    runs: runsOf([
      [MIO, "socket workers: 1", 1, undefined, 186_939, 95.3],
      [URING, "socket workers: 1", 1, undefined, 226_065, 95.3],
      ["opentracker", "workers: 1", 1, undefined, 190_540, 95.3],
      ["chihaya", "", 1, undefined, 55_989, 95.3],
      [MIO, "socket workers: 2", 2, undefined, 371_478, 190],
      [URING, "socket workers: 2", 2, undefined, 444_353, 190],
      ["opentracker", "workers: 2", 2, undefined, 379_623, 190],
      ["chihaya", "", 2, undefined, 111_226, 186],
      [MIO, "socket workers: 4", 4, undefined, 734_709, 381],
      [URING, "socket workers: 4", 4, undefined, 876_642, 381],
      ["opentracker", "workers: 4", 4, undefined, 748_401, 381],
      ["chihaya", "", 4, undefined, 136_983, 300],
      [MIO, "socket workers: 8", 8, undefined, 1_296_693, 731],
      [URING, "socket workers: 8", 8, undefined, 1_521_113, 731],
      ["opentracker", "workers: 8", 8, undefined, 1_170_928, 756],
      ["chihaya", "", 8, undefined, 131_779, 462],
      [MIO, "socket workers: 16", 16, undefined, 2_037_713, 1126],
      [URING, "socket workers: 16", 16, undefined, 2_258_321, 1109],
      ["opentracker", "workers: 16", 16, undefined, 1_645_828, 1422],
      ["chihaya", "", 16, undefined, 127_256, 487],
    ]),
  },
  {
    title: "Torrust, March 2024",
    source: "torrust.com/blog/benchmarking-the-torrust-bittorrent-tracker",
    machine: "AMD Ryzen 9 7950X, 32 threads, with other work on it; a core here is a pair of threads",
    runs: runsOf([
      [MIO, "socket workers: 1", 1, 8, 351_834, 95.5, "192.5 MiB"],
      [MIO, "socket workers: 1", 1, 12, 372_991, 95.5, "191.9 MiB"],
      [URING, "socket workers: 1", 1, 8, 389_576, 95.5, "214 MiB"],
      [URING, "socket workers: 1", 1, 12, 409_824, 95.5, "214.7 MiB"],
      ["opentracker", "workers: 0", 1, 8, 297_698, 95.5, "71.7 MiB"],
      ["opentracker", "workers: 0", 1, 12, 307_874, 95.5, "72 MiB"],
      ["opentracker", "workers: 1", 1, 8, 343_570, 95.4, "72 MiB"],
      ["opentracker", "workers: 1", 1, 12, 378_880, 95.3, "72.2 MiB"],
      ["chihaya", "", 1, 8, 115_159, 190, "863.4 MiB"],
      ["chihaya", "", 1, 12, 113_002, 190, "867.4 MiB"],
      ["torrust-tracker", "", 1, 8, 222_330, 189, "193.3 MiB"],
      ["torrust-tracker", "", 1, 12, 216_407, 189, "191.8 MiB"],
      [MIO, "socket workers: 2", 2, 8, 699_783, 191, "195.6 MiB"],
      [MIO, "socket workers: 2", 2, 12, 804_774, 191, "193.9 MiB"],
      [URING, "socket workers: 2", 2, 8, 749_745, 190, "237.4 MiB"],
      [URING, "socket workers: 2", 2, 12, 797_605, 190, "239 MiB"],
      ["opentracker", "workers: 2", 2, 8, 692_167, 190, "71.5 MiB"],
      ["opentracker", "workers: 2", 2, 12, 780_108, 190, "72 MiB"],
      ["chihaya", "", 2, 8, 185_137, 371, "8.2 GiB"],
      ["chihaya", "", 2, 12, 186_243, 380, "7.1 GiB"],
      ["torrust-tracker", "", 2, 8, 415_864, 374, "188.4 MiB"],
      ["torrust-tracker", "", 2, 12, 407_551, 375, "188.9 MiB"],
    ]),
  },
];

/** Torrust's repositories, in the words of its benchmark: scenario by scenario, average and adjusted average in nanoseconds. */
export const PUBLISHED_REPOSITORIES: readonly {
  readonly name: string;
  readonly scenarios: Readonly<Record<string, { readonly averageNs: number; readonly adjustedNs: number }>>;
}[] = (
  [
    [
      "tokio::sync::RwLock<BTreeMap<InfoHash, Entry>>",
      [60, 59, 10_909_457, 0, 13_888_790, 0, 7_772_484, 7_782_535],
    ],
    [
      "std::sync::RwLock<BTreeMap<InfoHash, Entry>>",
      [43, 39, 4_020_937, 4_020_937, 5_896_177, 5_768_448, 3_883_823, 3_883_823],
    ],
    [
      "std::sync::RwLock<BTreeMap<InfoHash, Arc<std::sync::Mutex<Entry>>>>",
      [51, 49, 3_252_314, 3_149_109, 8_411_094, 8_411_094, 4_106_086, 4_106_086],
    ],
    [
      "tokio::sync::RwLock<BTreeMap<InfoHash, Arc<std::sync::Mutex<Entry>>>>",
      [91, 90, 3_542_378, 3_435_695, 15_651_172, 15_651_172, 4_368_189, 4_257_572],
    ],
    [
      "tokio::sync::RwLock<BTreeMap<InfoHash, Arc<tokio::sync::Mutex<Entry>>>>",
      [111, 109, 6_590_677, 6_808_535, 16_572_217, 16_304_880, 4_073_221, 4_000_122],
    ],
  ] as const
).map(([name, figures]) => {
  const scenario = (index: number): { averageNs: number; adjustedNs: number } => ({
    averageNs: figures[2 * index] ?? 0,
    adjustedNs: figures[2 * index + 1] ?? 0,
  });
  return {
    name,
    scenarios: {
      add_one_torrent: scenario(0),
      update_one_torrent_in_parallel: scenario(1),
      add_multiple_torrents_in_parallel: scenario(2),
      update_multiple_torrents_in_parallel: scenario(3),
    },
  };
});

/** chihaya's optmem, of September 2017 with go 1.9, on one thread: ns, allocations and bytes for an operation. */
export const PUBLISHED_OPTMEM: Readonly<
  Record<string, readonly [ns: number, allocs: number, bytes: number]>
> = {
  Nop: [4.61, 0, 0],
  Put: [352, 1, 32],
  Put1k: [526, 1, 32],
  Put1kInfohash: [377, 1, 32],
  Put1kInfohash1k: [375, 1, 32],
  PutDelete: [1176, 5, 176],
  PutDelete1k: [1099, 5, 176],
  PutDelete1kInfohash: [1179, 5, 176],
  PutDelete1kInfohash1k: [1141, 5, 176],
  DeleteNonexist: [324, 2, 48],
  DeleteNonexist1k: [350, 2, 48],
  DeleteNonexist1kInfohash: [349, 2, 48],
  DeleteNonexist1kInfohash1k: [368, 2, 48],
  PutGradDelete: [1524, 6, 208],
  PutGradDelete1k: [1528, 6, 208],
  PutGradDelete1kInfohash: [1566, 6, 208],
  PutGradDelete1kInfohash1k: [1602, 6, 208],
  GradNonexist: [352, 1, 32],
  GradNonexist1k: [544, 1, 32],
  GradNonexist1kInfohash: [377, 1, 32],
  GradNonexist1kInfohash1k: [435, 1, 32],
  AnnounceLeecher: [6086, 52, 4552],
  AnnounceLeecher1kInfohash: [10_535, 52, 4552],
  AnnounceSeeder: [6738, 52, 4552],
  AnnounceSeeder1kInfohash: [11_355, 52, 4552],
  ScrapeSwarm: [90.1, 0, 0],
  ScrapeSwarm1kInfohash: [119, 0, 0],
};

/** Bytes that optmem's authors printed: of so many info hashes with one seeder, and of one with so many seeders and as many leechers. */
export const PUBLISHED_MEMORY: {
  readonly infoHashes: Readonly<Record<number, number>>;
  readonly pairs: Readonly<Record<number, number>>;
} = {
  infoHashes: {
    1000: 314_352,
    10000: 2_033_904,
    100000: 19_680_000,
    1000000: 257_648_992,
    2000000: 522_542_576,
    5000000: 1_003_537_520,
    10000000: 2_007_018_496,
  },
  pairs: {
    1000: 50_320,
    10000: 712_528,
    100000: 6_319_616,
    1000000: 50_605_152,
    2500000: 170_454_192,
    5000000: 340_471_120,
    10000000: 681_634_512,
    25000000: 1_616_537_632,
  },
};
