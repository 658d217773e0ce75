import {
  isJsonObject,
  parseCanonical,
  LIMITS,
  printable,
  type EntryOutline,
  type JsonValue,
} from '@tributary/proto';

/** Members that say nothing to people: keys, signatures, and documents as a whole. */
const SILENT: ReadonlySet<string> = new Set([
  'authorKey',
  'approverKey',
  'document',
  'identityKey',
  'key',
  'keyDigest',
  'logKey',
  'modelKey',
  'roundKey',
  'selectionSeed',
  'signature',
  'siteSignature',
]);

/** Characters of a digest that tell it from others. */
const DIGEST_SHOWN = 'sha256:'.length + 12;

/** One entry as a line for people: number, time, type, who, and what the body says. */
export function entryText(entry: EntryOutline): string {
  const said = Object.entries(entry.body)
    .filter(([name]) => !SILENT.has(name))
    .map(([name, value]) => `${name}=${valueText(value)}`);
  return printable(
    [`#${String(entry.seq)}`, entry.time, entry.type, `by ${entry.actor}`, ...said, ...termsOf(entry)].join(
      '  ',
    ),
  );
}

/** What a job says about privacy, from its document. */
export function termsOf({ body }: EntryOutline): readonly string[] {
  const privacy = specOf(body['document'])?.['privacy'];
  return privacy === undefined ? [] : [`privacy=${valueText(privacy)}`];
}

/** The spec of a document that an entry holds as text. */
export function specOf(
  document: JsonValue | undefined,
): Readonly<Record<string, JsonValue | undefined>> | undefined {
  if (typeof document !== 'string') return undefined;
  try {
    const value = parseCanonical(new TextEncoder().encode(document), LIMITS.documentBytes);
    const spec = isJsonObject(value) ? value['spec'] : undefined;
    return isJsonObject(spec) ? spec : undefined;
  } catch {
    return undefined;
  }
}

function valueText(value: JsonValue | undefined): string {
  if (typeof value === 'string') return value.startsWith('sha256:') ? value.slice(0, DIGEST_SHOWN) : value;
  if (Array.isArray(value)) return `[${value.map((item) => itemText(item as JsonValue)).join(', ')}]`;
  if (isJsonObject(value))
    return `{${Object.entries(value)
      .map(([name, inner]) => `${name}: ${valueText(inner)}`)
      .join(', ')}}`;
  return JSON.stringify(value);
}

/** A member of a cohort is its site. */
function itemText(value: JsonValue): string {
  const site = isJsonObject(value) ? value['site'] : undefined;
  return typeof site === 'string' ? site : valueText(value);
}
