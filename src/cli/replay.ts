// scatterwire replay: feeds a recording of connections through a receive mode, and says what happened.

import { Command } from "commander";
import {
  RECEIVE_MODES,
  type ReceiveModeName,
  type ReplayEvent,
  type ReplayedConnection,
  replayRecording,
} from "../index.js";
import { EXIT_FAILED, ExitError, formatBytes, oneOf, printJson, printLine } from "./output.js";
import { runVerb } from "./run-verb.js";

interface Options {
  receiveMode?: ReceiveModeName;
  events?: boolean;
  json?: boolean;
}

export function run(args: readonly string[]): Promise<number> {
  return runVerb(replayCommand(), args);
}

function replayCommand(): Command {
  return new Command("replay")
    .description("feed a recording (see download --record) through a receive mode, and say what happened")
    .argument("<file>", "the recording")
    .option(
      "--receive-mode <mode>",
      `${RECEIVE_MODES.join(", ")} (default: that which each connection began with)`,
      oneOf("--receive-mode", RECEIVE_MODES),
    )
    .option("--events", "say each state, message and block as well")
    .option("--json", "print JSON lines: each event, and last the connections")
    .addHelpText(
      "after",
      `
Nothing is connected to: peers say what they said when it was recorded, cut as it came then, and time is that of the recording. The same file gives the same
output each time. Status 1: the recording is damaged or cut, or a connection did not end as it did when it was recorded.

Examples:
  scatterwire download album.torrent -o ./copy --record /tmp/bug.recording
  scatterwire replay /tmp/bug.recording --receive-mode speculative`,
    )
    .action(replay);
}

async function replay(file: string, options: Options): Promise<void> {
  const { receiveMode, json = false, events = false } = options;
  const onEvent = json ? printJson : events ? printEvent : undefined;
  const { connections, whole } = await replayRecording(file, {
    ...(receiveMode === undefined ? {} : { receiveMode }),
    ...(onEvent === undefined ? {} : { onEvent }),
  });
  if (json) printJson({ connections, whole });
  else for (const connection of connections) printConnection(connection);
  const other = connections.filter((each) => !endedAlike(each));
  if (!whole)
    throw new ExitError(
      EXIT_FAILED,
      `${file} is cut: it was not finished, and was replayed as far as it goes`,
    );
  if (other.length > 0)
    throw new ExitError(
      EXIT_FAILED,
      `${other.length} of the connections did not end as they did when they were recorded`,
    );
}

/** Our own end comes with no error there, and ends it here; the peer's is found by the bytes. */
function endedAlike({ end, recordedEnd }: ReplayedConnection): boolean {
  const code = (text: string): string => text.split(":")[0] ?? "";
  return end === "closed by us" || code(end) === code(recordedEnd);
}

function printEvent(event: ReplayEvent): void {
  printLine(`${String(event.timeMs).padStart(8)} ms  #${event.connection}  ${wordsOf(event)}`);
}

function wordsOf(event: ReplayEvent): string {
  switch (event.event) {
    case "state":
      return `${event.state}${event.code === undefined ? "" : ` (${event.code}: ${event.message})`}`;
    case "message":
      return `${event.name}, ${event.bytes} bytes${event.skipped ? ", skipped" : ""}`;
    default:
      return `block ${event.piece}, ${event.begin}, ${event.length} bytes, ${event.digest}`;
  }
}

function printConnection(connection: ReplayedConnection): void {
  const { counters, messages, blocks, blockBytes, blocksDigest } = connection;
  const way = connection.incoming ? "from" : "to";
  printLine(`#${connection.connection} ${way} ${connection.host}:${connection.port}: ${connection.state}`);
  printLine(`  messages ${messages}, blocks ${blocks} (${formatBytes(blockBytes)}), digest ${blocksDigest}`);
  printLine(`  receives ${counters.receiveCalls}, bytes copied ${counters.bytesCopied}`);
  if (connection.end !== "") printLine(`  ended: ${connection.end}`);
  if (connection.recordedEnd !== "") printLine(`  then:  ${connection.recordedEnd}`);
  if (connection.unheardBytes > 0) printLine(`  ${connection.unheardBytes} bytes came after its end here`);
}
