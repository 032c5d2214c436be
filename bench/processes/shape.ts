// What another program said, checked where it comes in: a shape reads a value that may be anything, and answers it with a type, or
// throws a ShapeError that names the place and what was expected there. Fields that a shape does not name are left out.

export class ShapeError extends Error {
  override name = "ShapeError";
}

/** `at` is the place of the value, in words: "the answer", "usage.maxRSS". */
export type Shape<Value> = (value: unknown, at: string) => Value;

export interface ObjectShape<Value> extends Shape<Value> {
  /** Its fields, in the order in which they were named. */
  readonly keys: readonly string[];
}

/** What a shape answers. */
export type ValueOf<Of extends Shape<unknown>> = ReturnType<Of>;

type Fields = Readonly<Record<string, Shape<unknown>>>;

export const number: Shape<number> = (value, at) =>
  typeof value === "number" && Number.isFinite(value) ? value : refuse(at, "a number", value);

export const string: Shape<string> = (value, at) =>
  typeof value === "string" ? value : refuse(at, "a string", value);

export const boolean: Shape<boolean> = (value, at) =>
  typeof value === "boolean" ? value : refuse(at, "true or false", value);

/** One of these strings. */
export function oneOf<Name extends string>(names: readonly Name[]): Shape<Name> {
  return (value, at) =>
    names.find((name) => name === value) ?? refuse(at, `one of ${names.join(", ")}`, value);
}

/** A field that may be missing, or null. */
export function optional<Value>(shape: Shape<Value>): Shape<Value | undefined> {
  return (value, at) => (value === undefined || value === null ? undefined : shape(value, at));
}

export function listOf<Value>(shape: Shape<Value>): Shape<readonly Value[]> {
  return (value, at) =>
    Array.isArray(value)
      ? value.map((each: unknown, index) => shape(each, `${at}[${index}]`))
      : refuse(at, "a list", value);
}

/** Any names, each with a value of one shape. */
export function tableOf<Value>(shape: Shape<Value>): Shape<Readonly<Record<string, Value>>> {
  return (value, at) => {
    const entries = isObject(value) ? Object.entries(value) : refuse(at, "an object", value);
    return Object.fromEntries(entries.map(([name, each]) => [name, shape(each, `${at}.${name}`)]));
  };
}

export function object<Of extends Fields>(
  fields: Of,
): ObjectShape<{ readonly [Name in keyof Of]: ValueOf<Of[Name]> }> {
  const keys = Object.keys(fields);
  const read = (value: unknown, at: string): { readonly [Name in keyof Of]: ValueOf<Of[Name]> } => {
    const given = isObject(value) ? value : refuse(at, "an object", value);
    const entries = Object.entries(fields).map(([name, shape]) => [
      name,
      shape(given[name], `${at}.${name}`),
    ]);
    // The one place where the compiler has to be told: each entry was read by the shape of its name.
    return Object.fromEntries(entries) as { readonly [Name in keyof Of]: ValueOf<Of[Name]> };
  };
  return Object.assign(read, { keys });
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refuse(at: string, wanted: string, value: unknown): never {
  throw new ShapeError(`${at} should be ${wanted}, not ${JSON.stringify(value) ?? "missing"}`);
}
