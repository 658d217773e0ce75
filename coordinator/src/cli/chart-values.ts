import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { isJsonObject, TributaryError, type JsonObject, type JsonValue } from '@tributary/proto';
import { parse } from 'yaml';
import { z } from 'zod';

/**
 * Holds values against the schema of a chart, laid over its defaults as helm does, and against what its templates refuse
 * beyond that. Rejects with USAGE naming each field.
 */
export async function requireValues(folder: string, values: JsonObject): Promise<void> {
  const [defaults, schema] = await Promise.all([
    chartFile(folder, 'values.yaml', (text) => parse(text) as JsonValue),
    chartFile(folder, 'values.schema.json', (text) => JSON.parse(text) as JsonValue),
  ]);
  const merged = over(defaults, values);
  const parsed = z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]).safeParse(merged);
  const problems = parsed.success
    ? incoherences(merged)
    : parsed.error.issues.map(({ path, message }) => `${path.map(String).join('.')}: ${message}`);
  if (problems.length > 0) throw new TributaryError('USAGE', `--values: ${problems.join('; ')}`);
}

/** What the templates refuse, lest helm says so at the site when the token is made already. */
function incoherences(values: JsonValue): readonly string[] {
  const at = (...path: readonly string[]): JsonValue | undefined =>
    path.reduce<JsonValue | undefined>(
      (value, name) => (isJsonObject(value) ? value[name] : undefined),
      values,
    );
  const isSet = (...path: readonly string[]): boolean =>
    ![undefined, '', false].includes(at(...path) as string);
  return [
    ...(isSet('gpu', 'enabled') && isSet('gpu', 'tagSuffix') && isSet('image', 'digest')
      ? [
          'gpu.tagSuffix: a digest names one image, and no tag is read; give the digest of the one with CUDA and tagSuffix ""',
        ]
      : []),
    ...(isSet('policy', 'document') && isSet('policy', 'existingConfigMap')
      ? ['policy: give document or existingConfigMap, not both']
      : []),
    ...(isSet('serving', 'enabled') && !isSet('serving', 'tokenSecret', 'name')
      ? ['serving.tokenSecret.name: callers over TCP show a token; name the Secret that holds it']
      : []),
    ...(hasMembers(at('serving', 'fits')) && !isSet('serving', 'fitsSecret')
      ? ['serving.fitsSecret: the Secret that holds serving.fits']
      : []),
    ...(isSet('broker', 'enabled') && !isSet('broker', 'existingSecret')
      ? ['broker.existingSecret: the Secret with passwords and agent-password']
      : []),
  ];
}

const hasMembers = (value: JsonValue | undefined): boolean => Array.isArray(value) && value.length > 0;

/** Maps are merged, everything else is replaced, and null takes a default away. */
function over(below: JsonValue, above: JsonValue): JsonValue {
  if (!isJsonObject(below) || !isJsonObject(above)) return above;
  const merged = new Map(Object.entries(below));
  for (const [name, value] of Object.entries(above))
    if (value === null || value === undefined) merged.delete(name);
    else merged.set(name, over(merged.get(name) ?? null, value));
  return Object.fromEntries(merged);
}

async function chartFile<T>(folder: string, name: string, read: (text: string) => T): Promise<T> {
  try {
    return read(await readFile(join(folder, name), 'utf8'));
  } catch (cause) {
    throw new TributaryError('USAGE', `--chart: ${join(folder, name)} cannot be read`, { cause });
  }
}
