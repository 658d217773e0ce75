import { entryType, fieldType, isAtomic, listMerge } from './model.js';
import { isFields, isSame, type Fields } from './objects.js';

/** Steps to a field, as fieldsV1 writes them: `f:name`, `k:{"name":"a"}`, `v:"x"`. */
export type Path = readonly string[];

/** Fields by their path: a set with one spelling of each. */
export class FieldSet {
  readonly #paths: ReadonlySet<string>;

  private constructor(paths: Iterable<string>) {
    this.#paths = new Set(paths);
  }

  static of(paths: Iterable<Path>): FieldSet {
    return new FieldSet([...paths].map((path) => JSON.stringify(path)));
  }

  /** Fields of a value of a type of the API. */
  static ofValue(value: unknown, type: string): FieldSet {
    return FieldSet.of(pathsOf(value, type, '', '', []));
  }

  /** Reads `fieldsV1`. */
  static parse(tree: Fields): FieldSet {
    const walk = (node: Fields, path: Path): readonly Path[] => {
      const entries = Object.entries(node);
      if (entries.length === 0) return [path];
      return entries.flatMap(([key, child]) =>
        key === '.' ? [path] : walk(isFields(child) ? child : {}, [...path, key]),
      );
    };
    return FieldSet.of(walk(tree, []).filter((path) => path.length > 0));
  }

  /** Writes `fieldsV1`. */
  tree(): Fields {
    const root: Fields = {};
    for (const path of this.paths) {
      let node = root;
      for (const step of path) {
        const child = isFields(node[step]) ? node[step] : {};
        node[step] = child;
        node = child;
      }
      if (path.at(-1)?.startsWith('k:') === true) node['.'] = {};
    }
    return root;
  }

  get paths(): readonly Path[] {
    return [...this.#paths].map((path) => JSON.parse(path) as Path);
  }

  get isEmpty(): boolean {
    return this.#paths.size === 0;
  }

  has(path: Path): boolean {
    return this.#paths.has(JSON.stringify(path));
  }

  plus(other: FieldSet): FieldSet {
    return new FieldSet([...this.#paths, ...other.#paths]);
  }

  filter(keep: (path: Path) => boolean): FieldSet {
    return FieldSet.of(this.paths.filter(keep));
  }

  minus(other: FieldSet): FieldSet {
    return new FieldSet([...this.#paths].filter((path) => !other.#paths.has(path)));
  }
}

function pathsOf(value: unknown, type: string, parent: string, name: string, path: Path): readonly Path[] {
  if (isFields(value) && !isAtomic(type, parent, name)) {
    const entries = Object.entries(value);
    if (entries.length === 0) return path.length === 0 ? [] : [path];
    return entries.flatMap(([key, child]) =>
      pathsOf(child, fieldType(type, key), type, key, [...path, `f:${key}`]),
    );
  }
  const merge = Array.isArray(value) ? listMerge(parent, name) : undefined;
  if (!Array.isArray(value) || merge === undefined) return [path];
  return value.flatMap((entry: unknown) => {
    const step = entryStep(entry, parent, name);
    const below = isFields(entry) ? pathsOf(entry, entryType(type) ?? '*', '', '', [...path, step]) : [];
    return [[...path, step], ...below];
  });
}

/** Defaults of keys, which objects may leave out. */
const KEY_DEFAULTS: Readonly<Record<string, string>> = { protocol: 'TCP' };

/** The step to an entry of a list that is merged. */
function entryStep(entry: unknown, parent: string, name: string): string {
  const merge = listMerge(parent, name);
  if (!isFields(entry) || merge?.mergeKey === undefined) return `v:${JSON.stringify(entry)}`;
  const keys = merge.keys ?? [merge.mergeKey];
  const values = [...keys].sort().map((key) => [key, entry[key] ?? KEY_DEFAULTS[key]]);
  return `k:${JSON.stringify(Object.fromEntries(values))}`;
}

function position(list: readonly unknown[], step: string): number {
  const wanted = JSON.parse(step.slice(2)) as unknown;
  return list.findIndex((entry) =>
    step.startsWith('v:')
      ? isSame(entry, wanted)
      : isFields(entry) &&
        Object.entries(wanted as Fields).every(([key, value]) => (entry[key] ?? KEY_DEFAULTS[key]) === value),
  );
}

/** The value at a path; undefined where there is none. */
export function valueAt(root: unknown, path: Path): unknown {
  return path.reduce<unknown>((value, step) => {
    if (step.startsWith('f:')) return isFields(value) ? value[step.slice(2)] : undefined;
    return Array.isArray(value) ? (value[position(value, step)] as unknown) : undefined;
  }, root);
}

/** Removes what lies at a path, in place; and what is empty after it, where that was not there of its own. */
export function removeAt(root: unknown, path: Path): void {
  const parent = valueAt(root, path.slice(0, -1));
  const step = path.at(-1) ?? '';
  if (isFields(parent)) Reflect.deleteProperty(parent, step.slice(2));
  else if (Array.isArray(parent)) {
    const index = position(parent, step);
    if (index >= 0) parent.splice(index, 1);
  }
  const isEmpty = Array.isArray(parent)
    ? parent.length === 0
    : isFields(parent) && Object.keys(parent).length === 0;
  if (isEmpty && path.length > 2) removeAt(root, path.slice(0, -1));
}

/** What is applied, laid over what there is: lists that are merged by key keep the order of what there is. */
export function overlay(live: unknown, applied: unknown, type: string, parent = '', name = ''): unknown {
  if (isFields(applied) && isFields(live) && !isAtomic(type, parent, name)) {
    const merged: Fields = { ...live };
    for (const [key, value] of Object.entries(applied))
      merged[key] = overlay(live[key], value, fieldType(type, key), type, key);
    return merged;
  }
  if (!Array.isArray(applied) || !Array.isArray(live) || listMerge(parent, name) === undefined)
    return applied;
  return applied.reduce<readonly unknown[]>(
    (entries, entry: unknown) => {
      const index = position(entries, entryStep(entry, parent, name));
      return index < 0
        ? [...entries, entry]
        : entries.with(index, overlay(entries[index], entry, entryType(type) ?? '*'));
    },
    live as readonly unknown[],
  );
}
