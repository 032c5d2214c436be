// The version of the package, for whoever tells it to others: the one place in the sources that has it.
//
// Always: it is that of package.json and of the newest entry of CHANGELOG.md (a test compares them). `npm version` writes it here.

export const VERSION = "0.1.0";

const [major = "0", minor = "0", patch = "0"] = VERSION.split(".");

/** As peers, torrent files and people are told it: the number of the patch is left out. */
export const CLIENT_NAME = `scatterwire ${major}.${minor}`;

/** How a peer id begins (BEP 20, Azureus style): two letters for the program, and a hexadecimal digit for each number. */
export const PEER_ID_PREFIX = `-SW${[major, minor, patch].map(peerIdDigit).join("")}0-`;

function peerIdDigit(number: string): string {
  return Number(number).toString(16).toUpperCase();
}
