type Method = (this: unknown, ...args: readonly unknown[]) => unknown;

/** Puts `around` between a method of a class, or of any object, and its callers. `original` is bound already. */
export function patch(
  target: object,
  name: string,
  around: (original: (...args: readonly unknown[]) => unknown, ...args: readonly unknown[]) => unknown,
): void {
  const method: unknown = Reflect.get(target, name);
  if (typeof method !== 'function') throw new Error(`there is no method ${name} to put anything around`);
  const wrapped: Method = function (...args) {
    return around((...given) => Reflect.apply(method, this, given) as unknown, ...args);
  };
  Reflect.set(target, name, wrapped);
}

/** A variable that whoever started the process has set for what is loaded into it. */
export function variable(name: string): string {
  return process.env[`TRIBUTARY_CHAOS_${name}`] ?? '';
}
