/** Reads a place of plain data; undefined where it is not there. Never throws. */
export type PathReader = (value: unknown) => unknown;

/** Compiles `a.b[0].c`, which the document has checked. Only own members count. */
export function compilePath(path: string): PathReader {
  const steps = [...path.matchAll(/\[(\d+)\]|[^.[\]]+/g)].map(([text, position]) =>
    position === undefined ? text : Number(position),
  );
  const [only] = steps;
  if (steps.length === 1 && typeof only === 'string') return (value) => member(value, only);
  return (value) => steps.reduce(stepInto, value);
}

function stepInto(value: unknown, step: string | number): unknown {
  if (typeof step === 'number') return Array.isArray(value) ? (value as readonly unknown[])[step] : undefined;
  return member(value, step);
}

/** An own member of an object; undefined of anything else. */
export function member(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}

/**
 * An object with these members, all null, to be copied by spreading and then filled: a copy has the shape of its source
 * at once, where members that are added one by one under computed names make a hash table of it.
 */
export function template(names: readonly string[]): Readonly<Record<string, null>> {
  const members = names.map((name) => `${JSON.stringify(name)}:null`);
  return JSON.parse(`{${members.join(',')}}`) as Readonly<Record<string, null>>;
}

/** Sets an own member, whatever its name. */
export function setOwn<T>(record: Record<string, T>, name: string, value: NoInfer<T>): void {
  if (name === '__proto__') Object.defineProperty(record, name, { value, enumerable: true });
  else record[name] = value;
}
