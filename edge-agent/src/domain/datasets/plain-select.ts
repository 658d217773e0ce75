/** A value of the tree that DuckDB's json_serialize_sql gives. */
type Tree = Readonly<Record<string, unknown>>;

/**
 * True where a SELECT, by its syntax tree, hands on the rows of one source in their order: it only picks, computes and
 * filters. Every other one (joins, groups, windows, sets, its own order) has no order that is the same on every machine
 * and in every version, ties included.
 */
export function keepsOrder(statement: unknown): boolean {
  const node = childOf(statement, 'node');
  const from = childOf(node, 'from_table');
  if (node?.['type'] !== 'SELECT_NODE' || from?.['type'] !== 'BASE_TABLE') return false;
  const listed = [node['modifiers'], node['group_sets'], childOf(node, 'cte_map')?.['map']];
  const absent = [node['qualify'], node['sample'], node['having'], from['sample']];
  return listed.every(isEmpty) && absent.every((part) => part === null) && !hasNested(node);
}

/** Windows and subqueries anywhere in the expressions. */
function hasNested(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hasNested);
  if (typeof value !== 'object' || value === null) return false;
  const tree = value as Tree;
  if (tree['class'] === 'WINDOW' || tree['class'] === 'SUBQUERY') return true;
  return Object.values(tree).some(hasNested);
}

function childOf(value: unknown, name: string): Tree | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const child = (value as Tree)[name];
  return typeof child === 'object' && child !== null ? (child as Tree) : undefined;
}

const isEmpty = (value: unknown): boolean => Array.isArray(value) && value.length === 0;
