// The exit statuses of the command line, and the error that carries one.

export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
export const EXIT_UNREADABLE = 3;
export const EXIT_INTERRUPTED = 130;

/** Ends the program with this status; thrown where everything is closed already. */
export class ExitError extends Error {
  readonly status: number;

  constructor(status: number, message = "") {
    super(message);
    this.status = status;
  }
}
