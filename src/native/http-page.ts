// Answers of the faces that people and programs look at (an operator's, an index's): pages and JSON, which nobody keeps, guesses the type of,
// or puts under buttons of his own.

import type { ServerResponse } from "node:http";
import type { HttpServer } from "./http-server.js";

export interface PageAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  /** Of status 405: the methods that there are. */
  readonly allow?: string;
}

const JSON_TYPE = "application/json";
const RETRY_S = 1;

export function json(status: number, value: unknown): PageAnswer {
  return { status, type: JSON_TYPE, body: `${JSON.stringify(value)}\n` };
}

/** `allow`: the methods that there are, as "GET, HEAD". */
export function notAllowed(allow: string, error: string): PageAnswer {
  return { ...json(405, { error }), allow };
}

export function sendPage(server: HttpServer, response: ServerResponse, answer: PageAnswer): void {
  const { status, type, body, allow } = answer;
  if (allow !== undefined) response.setHeader("Allow", allow);
  if (status === 503) response.setHeader("Retry-After", RETRY_S);
  response.setHeader("Cache-Control", "no-store");
  response.setHeader("X-Content-Type-Options", "nosniff");
  response.setHeader("X-Frame-Options", "DENY");
  server.answer(response, status, type, Buffer.from(body));
}
