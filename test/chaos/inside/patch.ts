type Method = (this: unknown, ...args: readonly unknown[]) => unknown;

/** What comes around a method; `this` is the object whose method is called, and `original` is bound to it already. */
type Around = (
  this: unknown,
  original: (...args: readonly unknown[]) => unknown,
  ...args: readonly unknown[]
) => unknown;

/** Puts `around` between a method of a class, or of any object, and its callers. */
export function patch(target: object, name: string, around: Around): void {
  const method: unknown = Reflect.get(target, name);
  if (typeof method !== 'function') throw new Error(`there is no method ${name} to put anything around`);
  const wrapped: Method = function (...args) {
    const original = (...given: readonly unknown[]): unknown => Reflect.apply(method, this, given) as unknown;
    return Reflect.apply(around, this, [original, ...args]);
  };
  Reflect.set(target, name, wrapped);
}

/** A variable that whoever started the process has set for what is loaded into it. */
export function variable(name: string): string {
  return process.env[`TRIBUTARY_CHAOS_${name}`] ?? '';
}
