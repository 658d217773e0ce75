/** The value below `root` at a path of field names and indexes; undefined where something is missing. */
export function field(root: unknown, ...path: readonly (string | number)[]): unknown {
  let value = root;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Readonly<Record<string | number, unknown>>)[step];
  }
  return value;
}

/** The list at a path; empty where there is none. */
export function listAt(root: unknown, ...path: readonly (string | number)[]): readonly unknown[] {
  const value = field(root, ...path);
  return Array.isArray(value) ? value : [];
}

/** Text, number or truth at a path as text; '' where there is none. */
export function textAt(root: unknown, ...path: readonly (string | number)[]): string {
  const value = field(root, ...path);
  return ['string', 'number', 'boolean'].includes(typeof value) ? String(value) : '';
}
