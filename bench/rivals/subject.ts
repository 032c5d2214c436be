// What a program must be able to do to be compared: say what of it is missing, start for one piece of work, and stop. Every
// program listens on loopback and is connected to, because that is the one thing that all of them can.

import type { Program } from "../processes/program.js";

export type Role = "download" | "seed";

/** The kinds of work; a trial's group, unless it is to a disk. */
export type Work = "download" | "download-stored" | "seed" | "idle";

export interface Job {
  readonly work: Work;
  readonly torrent: string;
  /** Empty for a download; for seeding it holds the data. */
  readonly directory: string;
  /** 40 hexadecimal digits. */
  readonly infoHash: string;
  readonly pieceLength: number;
  /** Connections that there will be. */
  readonly peers: number;
  /** A folder of the trial's own for whatever a program keeps. */
  readonly home: string;
}

export interface Running {
  readonly program: Program;
  readonly port: number;
  /** Resolves when a download is complete: all pieces checked, where they are, and handed to the system. */
  complete(): Promise<void>;
}

export interface Subject {
  /** As the results name it. */
  readonly name: string;
  /** What it is and how it is set, in a line of the report. */
  readonly settings: string;
  does(work: Work, where: "memory" | "disk"): boolean;
  /** Connections that it takes at the most in this comparison; any number without it. */
  peersMax?(work: Work): number;
  /** Rejects MissingError, with the package that brings it. */
  require(): Promise<void>;
  start(job: Job): Promise<Running>;
}
