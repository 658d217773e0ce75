import { LIMITS } from './limits.js';

/** Rows of a table: a limit, its value, its unit and reason, and what happens when it is reached, where that was said. */
interface LimitRow {
  readonly name: keyof typeof LIMITS;
  readonly reason: string;
  readonly then: string;
}

const THEN = ' Then: ';

/** The limits that the text of a module declares, in order. A comment is that of all names that follow it at once. */
export function limitRows(source: string): readonly LimitRow[] {
  const rows: LimitRow[] = [];
  let [reason, then] = ['', ''];
  for (const [, comment, name] of source.matchAll(/^ {2}\/\*\*(.*?)\*\/$|^ {2}(\w+): /gms)) {
    if (comment !== undefined) [reason = '', then = ''] = words(comment).split(THEN);
    else if (isLimit(name)) rows.push({ name, reason, then });
  }
  return rows;
}

/** LIMITS.md, from the texts of load-limits.ts, table-limits.ts and limits.ts. */
export function limitsDocumentation(load: string, tables: string, sizes: string): string {
  return `# Limits

Every limit that Tributary enforces, generated from \`src/load-limits.ts\`, \`src/table-limits.ts\` and \`src/limits.ts\` with
\`npm run document\`. None is a setting of a job. Who is refused for load is told OVERLOADED (gRPC: RESOURCE_EXHAUSTED) with \`retryAfterMs\` in the error's
fields, and comes back after that time and at most as much again.

## Queues, tables, places, rates and deadlines

| Limit | Value | What and why | When it is reached |
| --- | ---: | --- | --- |
${[...limitRows(load), ...limitRows(tables)]
  .map(({ name, reason, then }) => `| \`${name}\` | ${valueOf(name)} | ${reason} | ${then} |\n`)
  .join('')}
## Sizes and counts

Whatever is larger is refused with a typed error that names the field: INVALID_ARGUMENT, LIMIT_EXCEEDED, or a code of its own
(see [ERRORS.md](ERRORS.md)).

| Limit | Value | What and why |
| --- | ---: | --- |
${limitRows(sizes)
  .map(({ name, reason }) => `| \`${name}\` | ${valueOf(name)} | ${reason} |\n`)
  .join('')}`;
}

const isLimit = (name: string | undefined): name is keyof typeof LIMITS =>
  name !== undefined && name in LIMITS;

const valueOf = (name: keyof typeof LIMITS): string => LIMITS[name].toLocaleString('en');

const words = (comment: string): string =>
  comment
    .replaceAll(/\n\s*\*/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();
