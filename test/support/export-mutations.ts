import { createHash } from 'node:crypto';

import { canonicalText, type JsonValue } from '@tributary/proto';

export type Members = Readonly<Record<string, JsonValue>>;
/** An export of which one thing was changed. */
export interface Mutation {
  readonly name: string;
  readonly text: string;
}

/** Values that differ from the one that was there by little, and those that are of another form. */
function others(value: JsonValue): readonly JsonValue[] {
  const odd = [null, '', -1, 0.5, 2 ** 53, [], {}, true].filter(
    (other) => canonicalText(other) !== canonicalText(value),
  );
  if (typeof value === 'number') return [...odd, value + 1, String(value)];
  if (typeof value === 'string')
    return [...odd, `${value} `, value.slice(1), flipped(value), value.toUpperCase()].filter(
      (other) => other !== value,
    );
  if (Array.isArray(value)) return [...odd, [...(value as JsonValue[]), 'x'.repeat(64)], value.slice(1)];
  return odd;
}

function flipped(text: string): string {
  const at = text.length >> 1;
  return `${text.slice(0, at)}${text[at] === '1' ? '2' : '1'}${text.slice(at + 1)}`;
}

/** The export with another line, and an end that fits: what notices is no checksum. */
function resealed(lines: readonly string[], at: number, line: string): string {
  const before = lines.map((old, index) => (index === at ? line : old)).slice(0, -1);
  const body = before.map((one) => `${one}\n`).join('');
  const end = JSON.parse(lines.at(-1) ?? '') as Members;
  const sealed = { ...end, digest: `sha256:${createHash('sha256').update(body).digest('hex')}` };
  return at === lines.length - 1 ? `${body}${line}\n` : `${body}${canonicalText(sealed)}\n`;
}

/** What an export says of itself under no signature. */
const UNSIGNED = new Set(['part', 'redacted']);

/** Every member of the first line of every kind: missing, of another form, or of another value. */
export function mutations(text: string): readonly Mutation[] {
  const lines = text.trimEnd().split('\n');
  const seen = new Set<string>();
  return lines.flatMap((line, at) => {
    const members = JSON.parse(line) as Members;
    const { kind: name } = JSON.parse(line) as { readonly kind: string };
    const changes: [string, string][] = [
      [`${name} with a member more`, canonicalText({ ...members, more: 1 })],
      [`${name} with a space`, line.replace(',', ', ')],
      [`${name} with a member twice`, line.replace('{', `{"kind":"${name}",`)],
    ];
    for (const [member, value] of Object.entries(members)) {
      if (UNSIGNED.has(member)) continue;
      const rest = Object.fromEntries(Object.entries(members).filter(([other]) => other !== member));
      changes.push([`${name} without ${member}`, canonicalText(rest)]);
      for (const [index, other] of others(value).entries())
        changes.push([`${name}.${member} #${String(index)}`, canonicalText({ ...members, [member]: other })]);
    }
    return changes
      .filter(([what]) => !seen.has(what) && seen.add(what) !== undefined)
      .map(([what, changed]) => ({ name: what, text: resealed(lines, at, changed) }));
  });
}
